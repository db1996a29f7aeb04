"""Ollama renders the same prompts from the Modelfile as apply_chat_template does."""

import re
from pathlib import Path

import pytest

from space.model.base import load_tokenizer
from train.modelfile import build_modelfile, read_turn_template

SYSTEM = {"role": "system", "content": "Be brief."}
MESSAGES = [
    {"role": "user", "content": "What is {it}?"},
    {"role": "assistant", "content": "A kettle.\nOf oak."},
    {"role": "user", "content": 'E em "português"?'},
]
ACTION = re.compile(r"{{ (.*?) }}")


class Go:
    """Render a template as Go's text/template does, given Ollama's .System and .Messages."""

    def __init__(self, template, messages):
        self.pieces = ACTION.split(template)  # text, action, text, ...
        self.messages = messages
        system = [message["content"] for message in messages if message["role"] == "system"]
        self.system = "\n\n".join(system)

    def skip(self, index):
        """Go from after an if or else to its own `else`, `else if` or `end`."""
        depth = 0
        while True:
            action = self.pieces[index]
            if depth == 0 and action.startswith(("else", "end")):
                return index
            depth += action.startswith(("if", "range")) - (action == "end")
            index += 2

    def run(self, index, message=None):
        """Render from the text at `index` to its `end` or `else`: (text, index of that)."""
        text = self.pieces[index]
        while index + 1 < len(self.pieces):
            action = self.pieces[index + 1]
            if action.startswith(("else", "end")):
                return text, index + 1
            if action == ".System":
                text, index = text + self.system, index + 2
            elif action == ".Content":
                text, index = text + message["content"], index + 2
            elif action == "range .Messages":
                for each in self.messages:
                    rendered, end = self.run(index + 2, each)
                    text += rendered
                index = end + 1
            else:
                rendered, index = self.branch(index + 1, message)
                text += rendered
            text += self.pieces[index]
        return text, index

    def branch(self, index, message):
        """Render an if with its elses: (text, index of the text after its end)."""
        rendered = ""
        done = False
        while self.pieces[index] != "end":
            action = self.pieces[index].removeprefix("else").strip()
            holds = {"if .System": bool(self.system), "": True}.get(action)
            if holds is None:
                holds = message["role"] == re.fullmatch(r'if eq \.Role "(\w+)"', action)[1]
            if holds and not done:
                rendered, index = self.run(index + 1, message)
                done = True
            else:
                index = self.skip(index + 2)
        return rendered, index + 1


def template_of(text):
    """The TEMPLATE of a Modelfile, as Ollama's own parser reads it."""
    return re.search(r'^TEMPLATE """(.*?)"""$', text, re.DOTALL | re.MULTILINE)[1]


def same(tokenizer, messages):
    template = template_of(build_modelfile(tokenizer, ["</s>"]))
    wanted = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return (tokenizer.bos_token or "") + Go(template, messages).run(0)[0] == wanted


@pytest.fixture
def ours(tiny_base):
    return load_tokenizer(str(tiny_base))


@pytest.mark.parametrize(
    "messages",
    [
        MESSAGES[:1],
        MESSAGES,
        [*MESSAGES, *MESSAGES[1:]],
        [SYSTEM, MESSAGES[0]],
        [SYSTEM, *MESSAGES],
    ],
)
def test_our_own_template(ours, messages):
    assert same(ours, messages)


def test_what_a_modelfile_says(ours):
    text = build_modelfile(ours, ["</s>", "<|end|>"])
    assert (
        text.startswith("FROM ./shop-Q4_K_M.gguf\nTEMPLATE ")
        and 'PARAMETER stop "</s>"\nPARAMETER stop "<|end|>"\n' in text
    )
    assert (
        "PARAMETER temperature 0" in text
        and "Question: {{ .Content }}\nAnswer:{{ else" in template_of(text)
    )


def test_the_manual_shows_that_very_template(ours):
    page = (Path(__file__).resolve().parents[2] / "docs" / "elsewhere.md").read_text()
    assert template_of(page) == template_of(build_modelfile(ours, []))


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama-Llama-3.1-8B-Instruct",
        "meta-llama-Llama-3.2-3B-Instruct",
        "mistralai-Mistral-Nemo-Instruct-2407",
        "mistral-7b-instruct-v0.3",
    ],
)
def test_the_templates_of_real_bases(shared, tmp_path, name):
    folder = shared / "tokenizers" / "mistral-7b-instruct-v0.3"
    template = shared / "tokenizers" / "chat-templates" / f"{name}.jinja"
    tokenizer = load_tokenizer(str(folder))
    if template.is_file():
        tokenizer.chat_template = template.read_text()
        tokenizer.bos_token = "<|begin_of_text|>" if "llama" in name else "<s>"
        tokenizer.save_pretrained(tmp_path)
        tokenizer = load_tokenizer(str(tmp_path))  # its clock is stopped now
    assert same(tokenizer, MESSAGES[:1]) and same(tokenizer, MESSAGES)
    if "llama" in name:
        assert same(tokenizer, [SYSTEM, *MESSAGES])
    else:
        # Mistral's template puts a system message into a question, which a turn template cannot.
        assert read_turn_template(
            tokenizer
        ).system is None and "# A system message is left out" in build_modelfile(tokenizer, [])


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}{{ message['content'] }}{% endfor %}!{{ messages | length }}",
        "{% for message in messages %}{{ loop.index }}: {{ message['content'] }}\n{% endfor %}",
        "{{ bos_token }}{% for m in messages %}{{ '\"\"\"' + m['content'] }}{% endfor %}",
        "{% for m in messages %}[{{ m['content'] }}]{% endfor %}",  # no BOS, but Ollama adds one
        "{{ raise_exception('no') }}",
    ],
)
def test_a_template_that_cannot_be_written_exactly_is_left_out(ours, template):
    ours.chat_template = template
    text = build_modelfile(ours, ["</s>"])
    assert (
        read_turn_template(ours) is None
        and "TEMPLATE" not in text
        and "ollama show --template" in text
    )
