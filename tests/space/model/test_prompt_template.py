"""An adapter's prompt template: written, read back, completed if older, refused if unusable."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from space.catalogue import detect_language
from space.errors import PromptTemplateError
from space.model.prompt import build_messages
from space.model.prompt_template import FORMAT_1, PromptTemplate

RECORD = {"uid": "1", "title": "Mog's Kittens", "content": "A board book."}


def test_a_template_survives_its_file_and_refuses_another_format(tmp_path):
    path = tmp_path / "prompt.json"
    own = PromptTemplate(answer="{records} {text}!")
    own.save(path)
    assert json.loads(path.read_text()) == json.loads(json.dumps(asdict(own)))
    assert build_messages(PromptTemplate.load(path), "answer", "Q", [RECORD]) == build_messages(
        own, "answer", "Q", [RECORD]
    )
    path.write_text(json.dumps({"format": 99}))
    with pytest.raises(PromptTemplateError, match="prompt format is 99, this version reads 1 to 2"):
        PromptTemplate.load(path)
    for number in (0, 3, "2", 2.0, True, None, [1]):
        path.write_text(json.dumps({"format": number}))
        with pytest.raises(PromptTemplateError, match="prompt format is"):
            PromptTemplate.load(path)
    path.write_text(json.dumps({"format": 1, "tone": "kind"}))
    with pytest.raises(PromptTemplateError, match="tone"):
        PromptTemplate.load(path)
    path.write_text("[not json")
    with pytest.raises(PromptTemplateError, match=r"prompt\.json cannot be read"):
        PromptTemplate.load(path)


def test_an_older_file_lacks_what_came_later_and_keeps_what_it_says(tmp_path):
    path = tmp_path / "prompt.json"
    path.write_text(
        json.dumps({"format": 1, "answer": "{records} | {text}", "citation": " ({position})"})
    )
    loaded = PromptTemplate.load(path)
    assert loaded.citation == " ({position})" and build_messages(loaded, "answer", "Q", [RECORD])[
        0
    ]["content"].endswith("| Q")
    assert loaded.absent == {"en": "The catalogue has nothing by that name.", "pt": "Não temos."}
    assert loaded.no_records.startswith("No record of the catalogue was found.")


@pytest.mark.parametrize(
    ("field", "says", "context"),
    [
        ("no_records", {}, []),
        ("no_records", {"no_records": "Nothing found. {text}"}, []),
        ("answer", {}, [RECORD]),
        ("answer", {"answer": "{records} | {text}"}, [RECORD]),
        ("summarize", {}, []),
        ("summarize", {"summarize": "In short: {text}"}, []),
    ],
)
def test_an_older_adapter_keeps_its_own_prompt_in_either_language(tmp_path, field, says, context):
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps({"format": 1} | says))
    loaded, learned = PromptTemplate.load(path), says.get(field, FORMAT_1[field])
    task = "summarize" if field == "summarize" else "answer"
    records = "[1] Mog's Kittens\nA board book."
    for text in ("What is Mog?", "O que é Mog?"):
        (message,) = build_messages(loaded, task, text, context)
        assert message["content"] == learned.format(text=text, records=records)
    loaded.save(path)
    again = PromptTemplate.load(path)
    assert again.format == 1 and again.in_language(field, "pt") == learned


def test_the_embedded_older_adapter_asks_as_it_learned():
    file = Path("space/sample/adapter/prompt.json")
    if not file.is_file() or json.loads(file.read_text())["format"] != 1:
        pytest.skip("no adapter of format 1 is embedded")
    loaded = PromptTemplate.load(file)
    (message,) = build_messages(loaded, "answer", "O que é Mog?", [RECORD])
    assert message["content"] == (
        "[1] Mog's Kittens\nA board book.\n\nO que é Mog? "
        "Answer from the records above and cite them, like [1]."
    )


@pytest.mark.parametrize(("task", "context"), [("answer", [RECORD]), ("summarize", [])])
def test_the_words_around_a_text_are_in_its_language(task, context):
    said = {}
    for text in ("What is the weight of Mog?", "Qual é o peso de Mog?"):
        (message,) = build_messages(PromptTemplate(), task, text, context)
        said[text] = detect_language(message["content"].replace("A board book.", ""))
    assert list(said.values()) == ["en", "pt"]


def test_what_is_absent_is_named_in_both_languages():
    said = {}
    for language, sentence in PromptTemplate().absent.items():
        said[language] = sentence.format(title="Blue Kettle")
    assert said == {
        "en": "I found nothing called Blue Kettle in the catalogue.",
        "pt": "Não encontrei nada chamado Blue Kettle no catálogo.",
    }


def test_without_records_the_prompt_is_in_the_questions_language():
    said = {
        tongue: {
            build_messages(PromptTemplate(), "answer", asked.format(title="Zumbrix"))[0][
                "content"
            ].split("\n")[0]
            for asked in questions
        }
        for tongue, questions in PromptTemplate().questions.items()
    }
    assert said == {
        "en": {"Records from the catalogue: none."},
        "pt": {"Registros do catálogo: nenhum."},
    }


def test_every_language_has_every_format_string():
    words = PromptTemplate()
    assert set(words.absent) == set(words.questions) == set(words.follow_ups) == {"en", "pt"}
    for language in words.absent:
        assert "{" not in words.absent[language].format(title="Blue Kettle")
        assert all("{title}" in asked for asked in words.questions[language])
        kinds = words.follow_ups[language]
        assert set(kinds) == {"short", "more", "other"} and all(
            "{title}" in asked for asked in kinds["other"]
        )
        assert not any("{" in asked for kind in ("short", "more") for asked in kinds[kind])


LONG = "a" * 10_001


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("answer", "{question}", r"uses \{question\}; it may use \{records\}, \{text\}"),
        ("answer", "{text:>300000000}", "with a format or a conversion"),
        ("answer", "{text!r}", "with a format or a conversion"),
        ("answer", "{text.__class__}", r"uses \{text.__class__\}"),
        ("answer", "{text[0]}", r"uses \{text\[0\]\}"),
        ("answer", "{}", r"uses \{\}"),
        ("answer", "{text} {0}", r"uses \{0\}"),
        ("answer", "{text", "is no format string"),
        ("answer", "text}", "is no format string"),
        ("answer", "{text}" * 5, r"uses \{text\} 5 times"),
        ("answer", "{a\nb}", r"uses \{a\\nb\}"),
        ("answer", "{" + "a" * 900 + "}", r"uses \{aaa"),
        ("describe", "{title}", r"uses \{title\}"),
        ("record", "{text}", r"uses \{text\}"),
        ("citation", "{title}", r"uses \{title\}"),
        ("summarize", LONG, "has 10,001 characters"),
        ("no_records", "\ud800{text}", "character that no text may hold"),
        ("no_records_pt", "\ufdd21\ufdd2{text}", "character that no text may hold"),
        ("record", 5, "must be a string"),
        ("record", None, "must be a string"),
        ("absent", "Nothing.", "must be an object with the fields en, pt"),
        ("absent", {"en": "Nothing."}, "must be an object with the fields en, pt"),
        ("absent", {"en": "{x}", "pt": "Nada."}, r"uses \{x\}"),
        ("questions", {"en": "What is {title}?", "pt": ["Qual?"]}, "must be a list"),
        ("questions", {"en": [], "pt": ["O que é {title}?"]}, "must be a list of 1 to 100"),
        ("questions", {"en": ["?"] * 101, "pt": ["?"]}, "must be a list of 1 to 100"),
        ("questions", {"en": ["?", 5], "pt": ["?"]}, "must be a string"),
        ("follow_ups", {"en": ["And?"], "pt": ["E?"]}, "with the fields short, more, other"),
        ("a" * 900, "kind", "a field that format 1 does not know"),
        ("tone", "kind", "a field that format 1 does not know"),
        ("answer_pt", "{text}", "a field that format 1 does not know"),
        ("summarize_pt", "{text}", "a field that format 1 does not know"),
    ],
)
def test_a_template_that_no_question_could_use_is_refused_when_it_is_loaded(
    tmp_path, field, value, told
):
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps({"format": 1, field: value}))
    with pytest.raises(PromptTemplateError, match=told) as refused:
        PromptTemplate.load(path)
    message = str(refused.value)
    assert message.startswith(f"prompt.json: {field[:70]}") and "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize("field", ["answer_pt", "summarize_pt"])
def test_a_new_field_is_checked_like_the_others(tmp_path, field):
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps({"format": 2, field: "{title}"}))
    with pytest.raises(PromptTemplateError, match=rf"{field} is '\{{title\}}': it uses"):
        PromptTemplate.load(path)


def test_the_refusal_names_the_field_and_the_value(tmp_path):
    path = tmp_path / "prompt.json"
    questions = {"en": ["What is {title}?", "Why {name}?"], "pt": ["O que é {title}?"]}
    path.write_text(json.dumps({"format": 1, "questions": questions}))
    with pytest.raises(PromptTemplateError) as refused:
        PromptTemplate.load(path)
    assert str(refused.value) == (
        "prompt.json: questions.en[1] is 'Why {name}?': it uses {name}; it may use {title}"
    )


@pytest.mark.parametrize(
    "content",
    ["[" * 200_000, "5", "[]", '"text"', '{"format": 1, "answer": "' + "a" * 2**19 + '"}'],
)
def test_a_file_that_is_no_template_or_too_large_is_refused(tmp_path, content):
    path = tmp_path / "prompt.json"
    path.write_text(content)
    with pytest.raises(PromptTemplateError, match=r"prompt\.json cannot be read"):
        PromptTemplate.load(path)


def test_braces_and_every_allowed_field_are_kept(tmp_path):
    path = tmp_path / "prompt.json"
    own = PromptTemplate(
        answer="{{json}} {records} {text} {text}",
        record="{position} {title} {content}",
        absent={"en": "No {title}.", "pt": "Sem {title}."},
    )
    own.save(path)
    loaded = PromptTemplate.load(path)
    assert build_messages(loaded, "answer", "Q", [RECORD])[0]["content"] == (
        "{json} 1 Mog's Kittens A board book. Q Q"
    )
    assert loaded.absent == own.absent
