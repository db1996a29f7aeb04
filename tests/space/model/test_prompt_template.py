"""The words that travel with an adapter: written, read back, older ones completed, unknown ones refused."""

import json
from dataclasses import asdict

import pytest

from space.errors import PromptTemplateError
from space.model.prompt import build_messages
from space.model.prompt_template import PromptTemplate

RECORD = {"uid": "1", "title": "Mog's Kittens", "content": "A board book."}


def test_wording_survives_its_file_and_refuses_another_format(tmp_path):
    path = tmp_path / "prompt.json"
    own = PromptTemplate(answer="{records} {text}!")
    own.save(path)
    assert json.loads(path.read_text()) == json.loads(json.dumps(asdict(own)))
    assert build_messages(PromptTemplate.load(path), "answer", "Q", [RECORD]) == build_messages(
        own, "answer", "Q", [RECORD]
    )
    path.write_text(json.dumps({"format": 99}))
    with pytest.raises(PromptTemplateError, match="prompt format is 99, this version reads 1"):
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
    assert (
        loaded.absent == PromptTemplate().absent
        and loaded.no_records == PromptTemplate().no_records
    )


@pytest.mark.parametrize("says", [{}, {"no_records": "Nothing found. {text}"}])
def test_an_older_adapter_is_asked_in_the_words_it_learned_in_either_language(tmp_path, says):
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps({"format": 1} | says))
    loaded, learned = PromptTemplate.load(path), says.get("no_records", PromptTemplate().no_records)
    for text in ("What is Mog?", "O que é Mog?"):
        assert build_messages(loaded, "answer", text)[0]["content"] == learned.format(text=text)
    loaded.save(path)
    assert PromptTemplate.load(path).no_records_pt == learned


def test_where_nothing_was_found_the_words_around_a_question_are_in_its_language():
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
        "en": {"No record of the catalogue was found."},
        "pt": {"Nenhum registro do catálogo foi encontrado."},
    }


def test_every_language_has_every_sentence():
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
