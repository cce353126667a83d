#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace musaic {
namespace {

std::filesystem::path folder() {
  return std::filesystem::path(MUSAIC_TEST_DATA) / "tokenizer" / "chat";
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The moment at which the goldens were made: 6 July 2024, 09:05:03 here.
std::time_t golden_time() {
  std::tm time{};
  time.tm_year = 124;
  time.tm_mon = 6;
  time.tm_mday = 6;
  time.tm_hour = 9;
  time.tm_min = 5;
  time.tm_sec = 3;
  time.tm_isdst = -1;
  return std::mktime(&time);
}

Result<std::string> render(const std::string& source, const Json& context) {
  const auto parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) return parsed.status();
  return parsed.value()->render(context, golden_time());
}

std::string error_of(const std::string& source, const Json& context = Json::object()) {
  return render(source, context).status().message();
}

TEST(ChatTemplate, RendersAsPythonsJinjaDoes) {
  const Json goldens = read_json_file(folder() / "goldens.json");
  ASSERT_GT(goldens["cases"].size(), 500u);
  for (const Json& golden : goldens["cases"]) {
    const bool is_file = golden.contains("file");
    const std::string source = is_file ? read_text(folder() / golden["file"].get<std::string>())
                                       : golden["source"].get<std::string>();
    SCOPED_TRACE((is_file ? golden["file"].get<std::string>() : source) + " with " +
                 golden["context"].get<std::string>());
    const Result<std::string> got = render(source, goldens["contexts"][golden["context"].get<std::string>()]);
    if (golden.contains("error")) {
      EXPECT_FALSE(got.ok()) << got.value();
      const std::string message = golden.value("message", "");
      EXPECT_TRUE(message.empty() || got.status().message() == message) << got.status().message();
    } else {
      ASSERT_TRUE(got.ok()) << got.status().message();
      EXPECT_EQ(got.value(), golden["output"].get<std::string>());
    }
  }
}

TEST(ChatTemplate, NamesTheLineOfAMistake) {
  EXPECT_EQ(error_of("a\n{% if x %}\nb"),
            "chat template: line 3: expected {% endif %}, got the end of the template");
  EXPECT_EQ(error_of("\n\n{{ messages.x }}"), "chat template: line 3: 'messages' is undefined");
  EXPECT_EQ(error_of("{% for a in [1] %}\n{{ a | nope }}{% endfor %}"),
            "chat template: line 2: no filter named 'nope'");
  EXPECT_EQ(error_of("{{ 'a' + 1 }}"),
            "chat template: line 1: unsupported operand types for +: 'str' and 'int'");
  EXPECT_EQ(error_of("{{ raise_exception('no ' ~ 'way') }}"), "no way");
}

TEST(ChatTemplate, BoundsWorkSizeAndDepth) {
  EXPECT_FALSE(render("{% for i in range(100000000) %}x{% endfor %}", Json::object()).ok());
  EXPECT_FALSE(render("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
                      Json::object())
                   .ok());
  EXPECT_FALSE(render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", Json::object()).ok());
  EXPECT_FALSE(render("{{ 'x' * 10 ** 12 }}", Json::object()).ok());
  EXPECT_FALSE(render("{{ [0] * 10 ** 12 }}", Json::object()).ok());
  EXPECT_FALSE(render("{{ ('x' * 10 ** 7) | replace('x', 'y' * 10 ** 6) }}", Json::object()).ok());
  EXPECT_FALSE(render("{{ 'a\n' * 9999 | indent(999999999) }}", Json::object()).ok());
  const std::string doubling =
      "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ "
      "n.s }}";
  EXPECT_FALSE(render(doubling, Json::object()).ok());
  const std::string nested =
      "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l] %}{% endfor %}";
  EXPECT_FALSE(render(nested, Json::object()).ok());
  EXPECT_FALSE(
      render("{{ " + std::string(100000, '(') + std::string(100000, ')') + " }}", Json::object()).ok());
  EXPECT_FALSE(render("{{ 1" + std::string(100000, '-') + "1 }}", Json::object()).ok());
  std::string sum = "{{ 1";
  for (int i = 0; i < 50000; ++i) sum += "+1";
  EXPECT_FALSE(render(sum + " }}", Json::object()).ok());
  std::string blocks;
  for (int i = 0; i < 50000; ++i) blocks += "{% if 1 %}";
  EXPECT_FALSE(render(blocks, Json::object()).ok());
  EXPECT_FALSE(render(std::string(2 << 20, 'x'), Json::object()).ok());
}

TEST(ChatTemplate, KeepsNothingOfNamespacesThatHoldThemselves) {
  // Leaks are found by the address sanitizer.
  EXPECT_TRUE(render("{% set n = namespace() %}{% set n.n = n %}{% set n.l = [n] %}", Json::object()).ok());
  EXPECT_TRUE(render("{% for x in [1, 2] %}{{ loop.changed([loop]) }}{% endfor %}", Json::object()).ok());
  const std::string chain =
      "{% set n = namespace() %}{% for i in range(50000) %}{% set n.n = namespace(n=n.n) %}{% endfor %}";
  EXPECT_TRUE(render(chain, Json::object()).ok());
}

TEST(ChatTemplate, RefusesAMacroWhoseBlockHasEnded) {
  const std::string source =
      "{% set n = namespace() %}{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro %}{% set n.m = m %}{% "
      "endfor %}{{ n.m() }}";
  EXPECT_EQ(error_of(source),
            "chat template: line 1: macro 'm' is called after the end of the block that defines it");
}

TEST(ChatTemplate, RefusesAContextThatIsNestedTooDeep) {
  Json deep = Json::array();
  for (int i = 0; i < 300; ++i) deep = Json::array({std::move(deep)});
  EXPECT_FALSE(render("x", Json{{"deep", std::move(deep)}}).ok());
  EXPECT_FALSE(render("x", Json::array()).ok());
}

TEST(ChatTemplate, SurvivesRandomMutations) {
  std::vector<std::string> sources;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    if (entry.path().extension() == ".jinja") sources.push_back(read_text(entry.path()));
  }
  const Json goldens = read_json_file(folder() / "goldens.json");
  for (const Json& golden : goldens["cases"]) {
    if (golden.contains("source")) sources.push_back(golden["source"].get<std::string>());
  }
  const std::vector<std::string> pieces = {
      "{%", "%}", "{{", "}}",    "{#",   "#}",         "-",      "+",      "|",        "(",        ")",   "[",
      "]",  "'",  "\"", " for ", " in ", " if ",       " else ", "endfor", "loop",     ".",        ",",   ":",
      "=",  "*",  "**", "~",     "1e9",  "9999999999", "\\x",    "\xff",   "\xe2\x82", "messages", "not "};
  std::mt19937 random(1);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(900);
  int rendered = 0;
  for (int round = 0; round < 20000 && std::chrono::steady_clock::now() < until; ++round) {
    std::string source = sources[random() % sources.size()];
    for (int change = 0; change < 1 + static_cast<int>(random() % 4) && !source.empty(); ++change) {
      const size_t at = random() % source.size();
      switch (random() % 4) {
        case 0:
          source.erase(at, 1 + random() % 8);
          break;
        case 1:
          source.insert(at, pieces[random() % pieces.size()]);
          break;
        case 2:
          source[at] = static_cast<char>(random());
          break;
        default: {
          const std::string& other = sources[random() % sources.size()];
          source.insert(at, other.substr(random() % (other.size() + 1), random() % 60));
        }
      }
    }
    rendered += render(source, goldens["contexts"]["tools"]).ok();
  }
  EXPECT_GT(rendered, 0);
}

}  // namespace
}  // namespace musaic
