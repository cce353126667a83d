"""`musaic generate` and `musaic chat` in a terminal."""
import subprocess

from running_server import TIME_FACTOR, binary, run_musaic

GREEDY = ("--temperature", "0")


def chat(model, lines, *flags):
    run = subprocess.run([binary(), "chat", "--model-path", model, *GREEDY, "--max-new-tokens", "24", *flags],
                         input="".join(line + "\n" for line in lines), capture_output=True, text=True,
                         timeout=120 * TIME_FACTOR)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def served_chat(server, messages):
    body = {"messages": messages, "temperature": 0, "max_tokens": 24}
    return server.post_json("/v1/chat/completions", body)["choices"][0]["message"]["content"]


def test_generate_prints_what_the_server_answers(model, server):
    run = run_musaic("generate", "--model-path", model, *GREEDY, "--max-new-tokens", "12", "The capital of France is")
    body = {"text": "The capital of France is", "sampling_params": {"temperature": 0, "max_new_tokens": 12}}
    assert run.returncode == 0, run.stderr
    assert server.post_json("/generate", body)["text"].strip() in run.stdout


def test_chat_remembers_the_conversation_and_forgets_it_when_told(model, server):
    question, more = "Name a river.", "And another one."
    first = served_chat(server, [{"role": "user", "content": question}])
    second = served_chat(server, [{"role": "user", "content": question}, {"role": "assistant", "content": first},
                                  {"role": "user", "content": more}])
    alone = served_chat(server, [{"role": "user", "content": more}])
    said = "\n".join(chat(model, [question, more, "/reset", more]))
    assert said == "\n".join([first, second, alone])


def test_chat_takes_a_system_message(model, server):
    messages = [{"role": "system", "content": "You answer in French."}, {"role": "user", "content": "Hello"}]
    said = "\n".join(chat(model, ["Hello"], "--system", "You answer in French."))
    assert said == served_chat(server, messages)
    assert "\n".join(chat(model, ["/system You answer in French.", "", "Hello", "/quit", "unheard"])) == said
