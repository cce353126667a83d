"""Makes goldens.json: what Python's jinja2 with Hugging Face's settings makes of this folder's templates and of the
snippets below: pip install jinja2==3.1.6; python make.py
"""
import datetime
import json
import pathlib

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2024, 7, 6, 9, 5, 3)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather\nof a \"place\"; naïve <&> 日本", "parameters": {
        "type": "object", "required": ["place"], "properties": {
            "place": {"type": "string", "description": "City"}, "unit": {"type": "string", "enum": ["c", "f"]},
            "days": {"type": "integer", "minimum": 1, "default": 1.5}, "tags": {"type": "array", "items": {"type": "string"}},
            "at": {"type": ["number", "null"]},
            "where": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "array"}}}}}}}
ADD = {"type": "function", "function": {"name": "add", "description": "", "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, identity="abcdefghi"):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATIONS = {
    "one": [{"role": "user", "content": "Hello, world!"}],
    "system": [{"role": "system", "content": "  Be brief.\n"}, {"role": "user", "content": " 2+2? \n"}],
    "turns": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " b\n"}, {"role": "user", "content": "日本 😀 {{ c }}"}],
    "thinking": [{"role": "user", "content": "why"}, {"role": "assistant", "content": "<think>\nhmm\n</think>\n\nbecause"},
                 {"role": "user", "content": "and"}, {"role": "assistant", "content": "<think>x</think>so"}],
    "tools": [{"role": "user", "content": "weather in Oslo?"},
              {"role": "assistant", "content": None, "tool_calls": [call("get_weather", {"place": "Oslo", "days": 2, "deep": {"a": [1, 2.5, None, True]}})]},
              {"role": "tool", "content": "{\"t\": -3}", "tool_call_id": "abcdefghi"},
              {"role": "assistant", "content": "Minus three."}, {"role": "user", "content": "thanks"}],
    "two_calls": [{"role": "system", "content": "S"}, {"role": "user", "content": "q"},
                  {"role": "assistant", "content": "", "tool_calls": [call("add", {}), call("get_weather", {"place": "É\"\\/\t"})]},
                  {"role": "tool", "content": "1", "tool_call_id": "abcdefghi"}, {"role": "tool", "content": "2", "tool_call_id": "abcdefghi"}],
    "wrong_order": [{"role": "assistant", "content": "I begin"}, {"role": "user", "content": "no"}],
    "odd_role": [{"role": "user", "content": "x"}, {"role": "critic", "content": "y"}, {"role": "user", "content": "z"}],
    "parts": [{"role": "system", "content": [{"type": "text", "text": "sys"}]},
              {"role": "user", "content": [{"type": "text", "text": " look "}, {"type": "image"}]}],
    "empty_content": [{"role": "user", "content": ""}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "end"}],
    "number_content": [{"role": "user", "content": 7}],
}


def context(messages, **more):
    return {"messages": messages, "bos_token": "<s>", "eos_token": "</s>", **more}


def contexts():
    for name, messages in CONVERSATIONS.items():
        yield name, context(messages, add_generation_prompt=True)
        yield name + " without prompt", context(messages, add_generation_prompt=False)
        yield name + " with tools", context(messages, tools=[WEATHER, ADD], add_generation_prompt=True)
    yield "options", context(CONVERSATIONS["system"], tools=[WEATHER], tools_in_user_message=False,
                             date_string="1 Jan", enable_thinking=False, add_generation_prompt=True)
    yield "no messages", context([])


SNIPPETS = r'''
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}
{{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1e20 }} {{ 1e-7 }} {{ 123456789.123 }} {{ 1e16 }} {{ 1e15 }} {{ 5 / 2 }} {{ 4 / 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1_000 }}
{{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 'a' }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ none == false }} {{ [] == () }}
{{ 'a' ~ 1 ~ none ~ true ~ 2.5 ~ [1, 'x'] ~ {'k': none} }} {{ 'x' + 'y' * 3 }} {{ [1] + [2] }} {{ (1, 2) + (3,) }}
{{ 1 ~ 2 + 3 }}
{{ 'a' in 'cat' }} {{ 2 in [1, 2] }} {{ 'k' in {'k': 1} }} {{ 3 not in (1, 2) }} {{ not 1 in [1] }} {{ 'x' in undefined_thing }}
{{ true and 'yes' or 'no' }} {{ '' or 'default' }} {{ 0 and fail() }} {{ not '' }} {{ not not [0] }} {{ none or [] }}
{{ 'a' if true else 'b' }} {{ 'a' if false }}| {{ 1 if 0 else 2 if 0 else 3 }} {{ ('x' if 1) ~ 'y' }}
{{ [1, 2, 3, 4][1:3] }} {{ 'hello'[::-1] }} {{ 'hello'[-3:] }} {{ [1, 2, 3][::2] }} {{ (1, 2, 3)[:-1] }} {{ 'héllo'[1] }} {{ [1, 2][-1] }} {{ [1,2,3][5:] }} {{ 'abc'[2:0:-1] }} {{ 'abc'[-100:100] }}
{{ {'a': 1, 'b': [1, (2,), {'c': none}]} }} {{ ('x',) }} {{ () }} {{ [true, false, none, 'q"uo\'te', "it's", 'é\n\t\\'] }}
{{ {'a': 1}.a }} {{ {'a': 1}['a'] }} {{ {'a': 1}.b is defined }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 5) }} {{ {'items': 1}.items is callable }} {{ {'items': 1}['items'] }}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'x': 1, 'y': 2} %}{{ k }}{% endfor %}{% for v in {'x': 1, 'y': 2}.values() %}{{ v }}{% endfor %}{{ {'x': 1}.keys() | list }}
{% for c in 'aé日' %}{{ loop.index }}{{ c }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}
{% for i in [1, 2, 3, 4, 5, 6] if i % 2 == 0 %}{{ i }}/{{ loop.length }}{{ ',' if not loop.last }}{% else %}none{% endfor %}{% for i in [] %}x{% else %}empty{% endfor %}
{% for i in range(3) %}{{ loop.previtem is defined }}{{ loop.nextitem | default('-') }} {% endfor %}{{ range(5) | list }} {{ range(2, 10, 3) | list }} {{ range(5, 0, -2) | list }}
{% for a, (b, c) in [(1, (2, 3)), (4, (5, 6))] %}{{ a }}{{ b }}{{ c }} {% endfor %}{% for i in range(2) %}{% for j in range(2) %}{{ loop.depth }}{{ loop.depth0 }}{{ i }}{{ j }} {% endfor %}{% endfor %}
{% set x = 1 %}{% for i in range(3) %}{{ x }}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}
{% set ns = namespace(a=1, b=[]) %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% set ns.b = ns.b + [i] %}{% endfor %}{{ ns.a }} {{ ns.b }} {{ ns.c is defined }}
{% set a, b = 1, 2 %}{{ b }}{{ a }}{% set c = (1, 2) %}{{ c }}{% if true %}{% set d = 5 %}{% endif %}{{ d }}
{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% macro m(a, b=2, c='z') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c='q') }} {{ m(1, 3, 4) }} {{ m() }} {{ m(b=5, a=6) }} {{ m | string | length > 0 }}
{% macro fact(n) %}{{ 1 if n <= 1 else n * (fact(n - 1) | int) }}{% endmacro %}{{ fact(10) }}
{% macro outer() %}{{ x }}{% endmacro %}{% set x = 'later' %}{{ outer() }}{% macro va() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ va(1, 2, k=3) }}
{% macro a(x) %}<{{ caller() }}{{ x }}>{% endmacro %}{% call a('y') %}body{% endcall %}
{{ undefined_thing }}|{{ undefined_thing | default('d') }}|{{ '' | default('d') }}|{{ '' | default('d', true) }}|{{ none | default('d') }}|{{ none | d('e', boolean=true) }}
{{ undefined_thing | length }} {{ undefined_thing is undefined }} {{ undefined_thing == 1 }} {% for x in undefined_thing %}x{% endfor %}{{ undefined_thing | upper }}{{ undefined_thing | list }}{{ undefined_thing ~ 'z' }}
{{ undefined_thing.attribute }}
{{ undefined_thing + 1 }}
{{ undefined_thing() }}
{{ {'a': 1}.b.c }}
{{ 'abc'.nothing }}|{{ [].nothing }}|{{ 5 .x }}|{{ none.x }}
{{ 'abc'.nothing() }}
{{ [1, 2].append(3) }}
{{ {'a': 1}.update({'b': 2}) }}
{{ 1 / 0 }}
{{ 1 + 'a' }}
{{ [1] < 'a' }}
{{ none | length }}
{% for x in 5 %}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{{ raise_exception('refused: ' ~ 1) }}
{{ 'a' | no_such_filter }}
{{ 'a' is no_such_test }}
{{ m( }}
{% if %}
{% endfor %}
{% for x in y %}
{{ 'unclosed }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(z=2) }}
{% set x.y = 1 %}
{% include 'x' %}
{% break %}
{{ [1, 2 }}
{{ ' trim me \n' | trim }}| {{ 'xxaxx' | trim('x') }} {{ 'AbC' | lower }} {{ 'AbC straße' | upper }} {{ 'hello wORLD-foo (bar' | title }} {{ 'hELLO wORLD' | capitalize }} {{ "they're bill's" | title }} {{ "they're bill's".title() }}
{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A', 'c'] | sort(case_sensitive=true) }} {{ [1, 3, 2] | sort(reverse=true) }} {{ [{'a': 2}, {'a': 1}] | sort(attribute='a') }}
{{ [1, 2, 3] | join(', ') }} {{ ['a', none, 2.5] | join('-') }} {{ [{'n': 1}, {'n': 2}] | join('+', attribute='n') }} {{ 'abc' | join('.') }}
{{ [1, 2, 3] | first }} {{ [1, 2, 3] | last }} {{ 'xyz' | first }} {{ 'xyz' | last }} {{ [] | first is defined }} {{ {'k': 1} | first }}
{{ 'abc' | length }} {{ 'é日😀' | length }} {{ {'a': 1} | count }} {{ 'abc' | reverse }} {{ [1, 2] | reverse | list }} {{ 'abc' | list }} {{ {'a': 1} | list }}
{{ [1, 2, 3, 4] | map('string') | list }} {{ ['a', 'b'] | map('upper') | join }} {{ [{'a': {'b': 1}}, {'a': {'b': 2}}] | map(attribute='a.b') | list }} {{ [{'a': 1}, {}] | map(attribute='a', default='z') | list }} {{ [[1, 2], [3, 4]] | map(attribute=1) | list }} {{ ['a,b'] | map('replace', ',', ';') | list }}
{{ [1, 2, 3, 4] | select('odd') | list }} {{ [0, 1, '', 'a'] | select | list }} {{ [1, 2, 3] | reject('greaterthan', 1) | list }} {{ [1, 2, 3] | select('in', [2, 3]) | list }}
{{ [{'r': 'u', 'n': 1}, {'r': 'a', 'n': 2}, {'r': 'u', 'n': 3}] | selectattr('r', 'equalto', 'u') | map(attribute='n') | list }} {{ [{'a': 1}, {'b': 2}] | selectattr('a', 'defined') | list }} {{ [{'a': 0}, {'a': 2}] | rejectattr('a') | list }} {{ [{'a': {'b': true}}] | selectattr('a.b') | list }}
{{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'B': 1, 'a': 2} | dictsort(true) }} {{ {'b': 1, 'a': 2} | items | list }} {{ {'b': 1} | dictsort(reverse=true) }}
{{ [1, 2, 2, 'a', 'A'] | unique | list }} {{ [3, 1, 2] | min }} {{ [3, 1, 2] | max }} {{ [1, 2, 3] | sum }} {{ [{'v': 2}, {'v': 3}] | sum(attribute='v', start=10) }} {{ ['b', 'A'] | min }}
{{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 'x') | list }} {{ [1, 2, 3, 4, 5] | slice(3) | list }} {{ [1, 2, 3, 4] | slice(3, 'f') | list }}
{{ '3' | int }} {{ '3.7' | int }} {{ 'x' | int }} {{ 'x' | int(9) }} {{ 3.9 | int }} {{ 'ff' | int(base=16) }} {{ '2.5' | float }} {{ 'x' | float }} {{ true | int }} {{ none | int }} {{ '-5' | int }} {{ ' 7 ' | int }}
{{ -5 | abs }} {{ (-5) | abs }} {{ -2.5 | abs }} {{ 2.567 | round(2) }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 2.1 | round(method='ceil') }} {{ 2.19 | round(1, 'floor') }} {{ 42 | round }} {{ 1234 | round(-2) }}
{{ 'a b a' | replace('a', 'x') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 'abc' | replace('', '-') }} {{ 5 | string + '!' }} {{ '<a href="x">\'&' | escape }} {{ '<b>' | safe }} {{ '<' | e }}
{{ 'a\nb\n\nc' | indent }}| {{ 'a\nb' | indent(2, true) }}| {{ 'a\n\nb' | indent(2, blank=true) }}| {{ 'a\nb\n' | indent('> ') }}| {{ 'hi' | center(9) }}| {{ 'ab' | center(5) }}| {{ 'one two-three' | wordcount }} {{ 'hello big world' | truncate(9) }} {{ 'hello big world' | truncate(9, true, leeway=0) }} {{ 'a b&c/é' | urlencode }}
{{ '%s is %d %05.2f %x %r %-5s| %%' | format('a', 42, 3.14159, 255, 'q', 'l') }} {{ '%s-%s' % (1, 'b') }} {{ 'x %s' % [1] }}
{{ {'b': 1, 'a': [1, 2.0, none, true, 'é"\\\n\u001f/<>&\u2028'], 'c': {}, 'd': []} | tojson }}
{{ {'b': 1, 'a': [1, {'x': []}, {}]} | tojson(indent=2) }}
{{ {'b': 1, 'a': 'é😀\x7f'} | tojson(ensure_ascii=true, sort_keys=true) }} {{ [1, 2] | tojson(separators=(',', ':')) }} {{ 'x' | tojson }} {{ none | tojson }} {{ 1e100 | tojson }} {{ 1.0 | tojson }} {{ {1: 2, none: 3, true: 4} | tojson }} {{ (1, 2) | tojson(indent=4) }}
{{ undefined_thing | tojson }}
{{ 'a,b,,c'.split(',') }} {{ '  a b  c '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.split(none, 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a\nb\r\nc'.splitlines() }} {{ 'a b c d'.rsplit(none, 2) }} {{ 'a--b'.split('--', maxsplit=-1) }}
{{ '  x '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ '\n\nq'.lstrip('\n') }}|{{ 'q\n '.rstrip() }}|{{ 'abcba'.strip('ab') }}|{{ '\u3000x\xa0'.strip() }}|
{{ 'hello'.startswith('he') }} {{ 'hello'.endswith(('x', 'lo')) }} {{ 'hello'.find('l') }} {{ 'hello'.rfind('l') }} {{ 'hello'.find('z') }} {{ 'héllo'.index('l') }} {{ 'banana'.count('an') }} {{ ', '.join(['a', 'b']) }} {{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'hello'.find('l', 3) }}
{{ 'Hello World'.upper() }} {{ 'Hello'.lower() }} {{ 'hello world'.title() }} {{ 'hELLO'.capitalize() }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ 'aXbX'.replace('X', '-', 1) }} {{ '7'.zfill(3) }} {{ 'a'.ljust(3) }}| {{ 'a'.rjust(3, '.') }} {{ '-5'.zfill(4) }}
{{ '123'.isdigit() }} {{ 'abc'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' \t'.isspace() }} {{ 'ABC'.isupper() }} {{ 'abC'.islower() }} {{ ''.isdigit() }} {{ '{} and {}'.format(1, 'b') }} {{ '{1}{0}{x}'.format(1, 2, x=3) }} {{ '{{}}'.format() }}
{{ [1, 2, 1].index(2) }} {{ [1, 2, 1].count(1) }} {{ 1 is odd }} {{ 2 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is number }} {{ 'a' is number }} {{ 1.5 is float }} {{ 1 is integer }} {{ true is integer }} {{ true is boolean }} {{ 1 is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }}
{{ none is none }} {{ 0 is none }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is sequence }} {{ {} is sequence }} {{ 5 is iterable }} {{ 'a' is iterable }} {{ 5 is sequence }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 1 is eq 1 }} {{ 1 is sameas 1.0 }} {{ 3 is gt 2 }} {{ 3 is not lessthan 2 }} {{ 'a' is in ['a'] }} {{ 'a' is not in 'xyz' }} {{ range is callable }} {{ 'upper' is filter }} {{ 'odd' is test }}
{{ x is defined and x is not none and x > 3 }} {{ 1 is defined and 2 }} {{ not x is defined }} {{ x is not defined or false }} {{ 5 is even or 5 is odd }}
{{ "a" "b" 'c' }} {{ 'tab\tnl\nuA\x41é' }} {{ 'it''s' }} {{ '\d \q' }} {{ '\101' }} {{ "\"" }}
a {#- c -#} b {# d #} c {{- ' x ' -}} d {%- if true -%} e {%- endif -%} f
{% if false %}a{% elif 0 %}b{% elif 'x' %}c{% else %}d{% endif %} {% if [] %}x{% endif %}{% if not x %}y{% endif %}
{% set t %}block {{ 1 + 1 }}{% endset %}[{{ t }}]{% set u | upper | replace('B', 'x') %}abc{% endset %}{{ u }}{% filter trim %}  t  {% endfilter %}
{% raw %}{{ x }}{% endraw %}|{%- raw -%}  {% y %}  {%- endraw -%}|
{{ [[1, 2], [3]] | map('length') | list }} {{ [1, [2]] | string }} {{ {'a': {'b': {'c': 5}}}.a.b.c }} {{ [{'x': [1, {'y': 2}]}][0].x[1].y }} {{ (1, 2).0 }} {{ [5, 6].1 }}
{{ strftime_now('%Y-%m-%d %H:%M:%S %d %b %B %A %a %j %p %I %y %%') }}
{{ dict(a=1, b='x') }} {{ dict({'z': 1}, y=2) }} {{ namespace({'q': 5}).q }}
{{ 'A' < 'a' }} {{ 'a' * 0 }}| {{ [0] * 3 }} {{ 3 * 'ab' }} {{ -1 * [1] }} {{ + 5 }} {{ - -5 }} {{ 10 - 2 - 3 }} {{ 100 // 7 % 4 }} {{ true + true }}
{{ 2 + 3 ~ 4 * 2 }}
{% for x in [1, 2] %}{% for y in [3] %}{{ loop.index }}{{ x }}{{ y }}{% endfor %}{{ loop.index }}{% endfor %}{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{{ loop.cycle('a', 'b') }} {% endfor %}
{{ 'x' if undefined_thing else 'y' }} {{ undefined_thing or 'z' }} {{ [undefined_thing, 1] | length }} {{ (undefined_thing, ) | first is undefined }}
{{ [1, 2, 3] | map('pprint_not_there') | list }}
{{ 5 | length }}
{{ 'a' | first | upper | lower | replace('a', 'b') ~ 'c' | upper }} {{ -1 | abs ~ 'x' }} {{ 'a' ~ 'b' | upper }} {{ 1 + 2 | string | length }}
{{ messages[0]['content'][:3] + messages[-1].role }} {{ messages | length }} {{ messages[99] is defined }} {{ messages[0].missing is defined }} {{ messages[0]['missing'] | default('no') }}
{{ messages[99].role }}
{{ [] | last }}|{{ [] | max is undefined }}|{{ [[]] | first | length }}|{{ '' | list }}|{{ {} | items | list }}|{{ [] | join }}|{{ '' | title }}
{{ 'ﬁ İ ß ǆ' | lower }} {{ 'ΑΣ' | lower | length }} {{ 'éà' | upper }} {{ 'привет мир' | title }} {{ '日本' | upper }}
{% generation %}{% set inner = 1 %}g{{ inner }}{% endgeneration %}{{ inner is defined }}
{% with %}{% set w = 2 %}{{ w }}{% endwith %}{{ w is defined }}{% with a = 1 %}{{ a }}{% endwith %}{{ a is defined }}
{% for i in range(2) %}{% macro inner() %}m{{ i }}{% endmacro %}{{ inner() }}{% endfor %}
{% set f %}{% for i in [1] %}x{% endfor %}{% endset %}{{ f | length }}{% if f == 'x' %}same{% endif %}
{{ 99999999999 * 1000 }} {{ 1 - 1.0 }} {{ 0.0 == -0.0 }} {{ 1e400 }} {{ 3 | float }} {{ 1.10 }} {{ 100.0 }} {{ 1.5e3 }} {{ 12345678901234567.0 }}
'''


SOURCES = [
    "a\n{% if true %}\nb\n{% endif %}\nc\n", "a\n  {% if true %}  \n  b\n  {% endif %}  \n  c\n\n", "{% if true %}\n\nx\n{% endif %}\n\n",
    "x {% if true -%}\n\n  y  \n{%- endif %} z", "  {%+ if true %}x{% endif %}", "  {# c #}\n  y", "a {# c #}\nb", "{# c #}  \nb", "  {%- if true %} x{% endif %}",
    "x\r\n{% if true %}\r\ny\r{% endif %}z", "{% if true +%}\nx{% endif %}", "{{ 1 }}\n{{ 2 }}\n", "{{ 1 -}}\n {{ 2 }}", "\n\n{{ 1 }}\n\n", "{% raw %}\n  a\n{% endraw %}\nb", "  {% raw -%}\n a {%- endraw %}\n b",
    "  {% for i in [1,2] %}\n    {{ i }}\n  {% endfor %}\nend", "\t{% set x = 1 %}\n\tx={{ x }}", "{%- set x = 1 -%}\n\n x", "{{ '%}' }}{{ \"}}\" }}{% if '%}' %}ok{% endif %}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': {'b': 1}} }}",
    "a{#\n multi\n line -#}\n b", "{#- x +#}\n b", "text { not } {a} {%% }", "{", "{{", "{%", "{#", "}}", "{{ }}", "{% %}", "", "\n", "\n\n", " ", "{{ 1 }} {{ 2 }}\n \n",
    "{% if true %}{% if true %}\n  x\n  {% endif %}\n{% endif %}", "{{ 1 +}}", "{{+ 1 }}", "  {{- 1 -}}  ", "{% if 1 %}a{% else %}\nb{% endif %}\n", "{%if 1%}a{%endif%}", "{{1}}{{'a'}}", "\u00a0{%- if 1 -%}\u3000x{% endif %}",
    "{% for x in [1] -%}\n  a\n{%- endfor %}\n{%- if 1 %}\nb\n{%- endif %}\n", "{% set x %}\n a\n{% endset %}[{{ x }}]", "{% macro m() %}\n a\n{% endmacro %}[{{ m() }}]",
]


def render(source, values):
    try:
        return {"output": environment().from_string(source).render(**values)}
    except jinja2.exceptions.TemplateError as error:
        return {"error": True, **({"message": str(error)} if "raise_exception" in source and type(error) is jinja2.exceptions.TemplateError else {})}
    except (TypeError, ValueError, ZeroDivisionError, KeyError, OverflowError, AttributeError, IndexError, SyntaxError):
        return {"error": True}


def main():
    cases = []
    by_name = dict(contexts())
    for path in sorted(HERE.glob("*.jinja")):
        for name, values in by_name.items():
            cases.append({"file": path.name, "context": name, **render(path.read_text(encoding="utf-8"), values)})
    for source in [line for line in SNIPPETS.split("\n") if line] + SOURCES:
        cases.append({"source": source, "context": "turns", **render(source, by_name["turns"])})
    goldens = ['"%s": [\n%s\n]' % ("cases", ",\n".join(json.dumps(case) for case in cases))]
    goldens.insert(0, '"contexts": %s' % json.dumps(by_name))
    (HERE / "goldens.json").write_text("{" + ",\n".join(goldens) + "}\n", encoding="utf-8")
    print(len(cases), "cases,", sum("error" in case for case in cases), "errors")
    for case in cases:
        if "source" in case and "error" in case:
            print("  error:", case["source"][:100])


main()
