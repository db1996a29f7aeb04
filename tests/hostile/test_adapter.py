"""What an adapter or a base brings as a template or a tokenizer: bounded in time, and one line."""

import os
import time

import pytest

from space.errors import ModelError
from space.model import chat_templates
from space.model.base import load_tokenizer
from space.model.chat_templates import check_chat_template
from space.model.files import check_tokenizer_files
from space.model.prompt import CHAT_TEMPLATE, ENCODER_TEMPLATE

NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(chat_templates, "CPU_SECONDS", 1)
    check_chat_template.cache_clear()
    yield
    check_chat_template.cache_clear()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (NESTED, "takes over 1 s"),
        ("{% if messages|length > 30 %}" + NESTED + "{% endif %}", "takes over 1 s"),
        ("{{ 'a' * 9000000000 }}", "too much memory"),
        ("{% for m in messages %}{{ 'a' * 90000 }}{% endfor %}", "too much memory"),
        ("{% set s = namespace(t='ab') %}{% for m in range(60) %}"
         "{% set s.t = s.t + s.t %}{% endfor %}{{ s.t }}", "too much memory"),
        ("{% for message in", "is no template"),
        ("{#" + "x" * 300_000 + "#}", "300,004 characters"),
    ],
)  # fmt: skip
def test_a_template_that_means_harm_is_refused(template, words):
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        check_chat_template("the tokenizer of x", template)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "template",
    [
        CHAT_TEMPLATE,
        ENCODER_TEMPLATE,
        "{% for m in messages %}{% if m.role == 'x' %}{{ raise_exception('no') }}{% endif %}"
        "{% generation %}{{ m.content | tojson(indent=2) }}{%- endgeneration -%}{% endfor %}",
        "{{ raise_exception('it takes no such conversation') }}",
    ],
)
def test_an_honest_template_passes(template):
    check_chat_template("the tokenizer of x", template)


def test_real_templates_pass(shared):
    found = sorted((shared / "tokenizers" / "chat-templates").glob("*.jinja"))
    for path in found:
        check_chat_template(path.name, path.read_text(encoding="utf-8"))


def test_a_tokenizer_with_such_a_template_is_refused(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(NESTED)
    with pytest.raises(ModelError, match="its chat template takes over 1 s"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize("name", ["chat_template.jinja", "vocab.txt", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_tokenizers_files_are_regular(tmp_path, tokenizer, name, kind):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="is not a regular file"):
        load_tokenizer(str(tmp_path))


def test_a_tokenizers_files_are_bounded(tmp_path):
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(101_000_000)
    with pytest.raises(ModelError, match="101,000,000 bytes, of at most 100,000,000"):
        check_tokenizer_files("the tokenizer of x", tmp_path)


def test_a_deep_tokenizer_config_is_one_line(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    deep = '{"a":' * 10_000 + "1" + "}" * 10_000
    (tmp_path / "tokenizer_config.json").write_text(deep)
    with pytest.raises(ModelError) as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
