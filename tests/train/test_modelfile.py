"""Modelfile: Ollama renders the prompts that apply_chat_template renders, character for character."""

import re
from pathlib import Path

import pytest

from space.model.base import load_tokenizer
from train.modelfile import build_modelfile, read_turn_template

SYSTEM = {"role": "system", "content": "Be brief."}
TALK = [
    {"role": "user", "content": "What is {it}?"},
    {"role": "assistant", "content": "A kettle.\nOf oak."},
    {"role": "user", "content": 'E em "português"?'},
]
ACTION = re.compile(r"{{ (.*?) }}")


def go_rendered(template, talk):
    """What Go's text/template makes of the few actions that our templates have, given Ollama's .System and .Messages."""
    pieces = ACTION.split(template)

    def skip(place):
        """From after an if or an else to its own `else`, `else if` or `end`."""
        depth = 0
        while True:
            action = pieces[place]
            if depth == 0 and action.startswith(("else", "end")):
                return place
            depth += action.startswith(("if", "range")) - (action == "end")
            place += 2

    def run(place, message):
        """Renders from the text at `place` to the `end` or `else` that belongs to it: (text, its place)."""
        text = pieces[place]
        while place + 1 < len(pieces):
            action = pieces[place + 1]
            if action.startswith(("else", "end")):
                return text, place + 1
            if action == ".System":
                text, place = text + told, place + 2
            elif action == ".Content":
                text, place = text + message["content"], place + 2
            elif action == "range .Messages":
                for each in talk:
                    said, end = run(place + 2, each)
                    text += said
                place = end + 1
            else:
                said, place = branch(place + 1, message)
                text += said
            text += pieces[place]
        return text, place

    def branch(place, message):
        """Renders an if with its elses: (text, the place of the text after its end)."""
        said = ""
        done = False
        while pieces[place] != "end":
            action = pieces[place].removeprefix("else").strip()
            holds = {"if .System": bool(told), "": True}.get(action)
            if holds is None:
                holds = message["role"] == re.fullmatch(r'if eq \.Role "(\w+)"', action)[1]
            if holds and not done:
                said, place = run(place + 1, message)
                done = True
            else:
                place = skip(place + 2)
        return said, place + 1

    told = "\n\n".join(message["content"] for message in talk if message["role"] == "system")
    return run(0, None)[0]


def template_of(text):
    """The TEMPLATE of a Modelfile, as Ollama's own parser reads it."""
    return re.search(r'^TEMPLATE """(.*?)"""$', text, re.DOTALL | re.MULTILINE)[1]


def same(tokenizer, talk):
    template = template_of(build_modelfile(tokenizer, ["</s>"]))
    wanted = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    return (tokenizer.bos_token or "") + go_rendered(template, talk) == wanted


@pytest.fixture
def ours(tiny_base):
    return load_tokenizer(str(tiny_base))


@pytest.mark.parametrize(
    "talk", [TALK[:1], TALK, [*TALK, *TALK[1:]], [SYSTEM, TALK[0]], [SYSTEM, *TALK]]
)
def test_our_own_template(ours, talk):
    assert same(ours, talk)


def test_what_a_modelfile_says(ours):
    text = build_modelfile(ours, ["</s>", "<|end|>"])
    assert (
        text.startswith("FROM .\nTEMPLATE ")
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
    assert same(tokenizer, TALK[:1]) and same(tokenizer, TALK)
    if "llama" in name:
        assert same(tokenizer, [SYSTEM, *TALK])
    else:
        # Mistral's puts a system message into a question: no place for it among turns, and it is said so.
        assert read_turn_template(
            tokenizer
        ).system is None and "# A system message is left out" in build_modelfile(tokenizer, [])


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}{{ message['content'] }}{% endfor %}!{{ messages | length }}",
        "{% for message in messages %}{{ loop.index }}: {{ message['content'] }}\n{% endfor %}",
        "{{ bos_token }}{% for message in messages %}{{ '\"\"\"' + message['content'] }}{% endfor %}",
        "{% for message in messages %}[{{ message['content'] }}]{% endfor %}",  # no BOS, and Ollama puts one
        "{{ raise_exception('no') }}",
    ],
)
def test_a_template_that_cannot_be_said_exactly_is_not_said(ours, template):
    ours.chat_template = template
    text = build_modelfile(ours, ["</s>"])
    assert (
        read_turn_template(ours) is None
        and "TEMPLATE" not in text
        and "ollama show --template" in text
    )
