"""Normalised words, one-letter edits and sentences."""

import re
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from space.catalogue.text import (
    QUESTION_WORDS,
    detect_language,
    fold,
    normalise,
    one_letter_edits,
    question_language,
    sentence_spans,
    split_sentences,
)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("  Mog\u2019s   KITTENS! ", "mog s kittens"),
        ("Édition spéciale", "edition speciale"),
        ("E\u0301dition", "edition"),
        ("ação_à-toa", "acao a toa"),
        ("Straße", "strasse"),
        ("1984", "1984"),
        ("한국어 책", "한국어 책"),
        (" !!! ", "!!!"),
        ("", ""),
    ],
)
def test_normalise(title, expected):
    assert normalise(title) == expected
    assert normalise(normalise(title)) == expected


def test_a_slip_of_a_word():
    assert {"kitens", "kitttens", "kittems", "ikttens", "kittensa"} <= one_letter_edits("kittens")
    assert "kittens" not in one_letter_edits("kittens") and "kiens" not in one_letter_edits(
        "kittens"
    )
    assert (
        one_letter_edits("1984")
        == one_letter_edits("a")
        == one_letter_edits("x" * 100_000)
        == set()
    )


@settings(max_examples=400, deadline=None)
@example("ºªß½²™ﬁ İıſ Kelvin\u212a \u0301e\u0301 \u1e9b\u0323")
@given(
    st.text(st.one_of(st.characters(), st.sampled_from("aÉçã’…“ß½İſ_-\u0301\u0323 ")), max_size=30)
)
def test_normalise_spells_letter_by_letter_what_unicode_says_of_the_whole(text):
    sound = text.casefold().encode("utf-8", "ignore").decode()
    bare = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", sound)
        if not unicodedata.combining(letter)
    )
    words = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", bare).casefold()).split()
    assert not words or normalise(text) == " ".join(words)
    assert not words or fold(text).split() == words


@pytest.mark.parametrize(
    "text",
    [
        "".join(map(chr, range(128))),
        "Mog's  Kittens!",
        "ação_à-toa",
        "!!!",
        "",
        " ",
        "_",
        "_a_",
        "한국어 책",
        "Straße",
        "\0",
        "A\x1fB",
        *sorted(QUESTION_WORDS)[:3],
    ],
)
def test_the_index_spells_words_as_normalise_does(text):
    assert fold(text).split() == normalise(text).split()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It is oak. It lasts! Does it? Yes", ["It is oak.", "It lasts!", "Does it?", "Yes"]),
        (
            "Dr. Silva paid 3.5 euros, e.g. for oak. Good.",
            ["Dr. Silva paid 3.5 euros, e.g. for oak.", "Good."],
        ),
        (
            "A Sra. Lima usa p.ex. latão. Pesa 3,5 kg. É bom.",
            ["A Sra. Lima usa p.ex. latão.", "Pesa 3,5 kg.", "É bom."],
        ),
        ("By J. R. Smith. Done.", ["By J. R. Smith.", "Done."]),
        (
            "See fig. 3 and p. 4. No. 5 is it. No. It is not.",
            ["See fig. 3 and p. 4.", "No. 5 is it.", "No.", "It is not."],
        ),
        ("Good... very good… Yes... No.", ["Good... very good…", "Yes...", "No."]),
        ('He said "Stop." Then (he left.) So.', ['He said "Stop."', "Then (he left.)", "So."]),
        ("É de aço. Pesa 300 g. Água fria!", ["É de aço.", "Pesa 300 g.", "Água fria!"]),
        ("It costs 3.50 in all. Next.", ["It costs 3.50 in all.", "Next."]),
        ("no mark at all and no capital", ["no mark at all and no capital"]),
        ("word " * 900, [("word " * 900).strip()]),
        (
            "Features\n- one lamp\n- two lamps\n1. First thing\n2. Second",
            ["Features", "- one lamp", "- two lamps", "1. First thing", "2. Second"],
        ),
        ("a heading\n\nand a paragraph", ["a heading", "and a paragraph"]),
        (
            "A line that was wrapped where the paper ended, and not the sentence of\nMaria. End.",
            [
                "A line that was wrapped where the paper ended, and not the sentence of\nMaria.",
                "End.",
            ],
        ),
        ("short\nand wrapped", ["short\nand wrapped"]),
        ("هل هو جيد؟ نعم. شكرا", ["هل هو جيد؟", "نعم.", "شكرا"]),
        ("良い。とても！はい", ["良い。", "とても！", "はい"]),
        ("Nice 🎉 lamp! 🎉 Buy it.", ["Nice 🎉 lamp!", "🎉 Buy it."]),
        ("Made of oak [1]. It lasts [2].", ["Made of oak [1].", "It lasts [2]."]),
        ("<b>Oak.</b> It lasts.\r\nYes.", ["<b>Oak.</b> It lasts.", "Yes."]),
        ("", []),
        (" \n\t ", []),
        ("...", ["..."]),
    ],
)
def test_where_a_sentence_ends(text, parts):
    assert split_sentences(text) == parts


def test_a_long_text_is_split_in_time():
    start = time.perf_counter()
    assert (
        len(sentence_spans("a. " * 50_000)) == 1 and len(sentence_spans("A! " * 50_000)) == 50_000
    )
    assert time.perf_counter() - start < 3


def test_a_page_of_dots_is_read_once():
    """As a table of contents has them; from each of its dots anew it took nine seconds."""
    begun = time.perf_counter()
    sentence_spans("." * 20_000 + "x")
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the Dovenka Kettle?", "en"),
        ("O que é a Chaleira Dovenka?", "pt"),
        ("Dovenka", "en"),
        ("Fale sobre Rede Bamu", "pt"),
        ("Girls Ballet Tutu Neon Pink", "en"),
        ("Descreva The Great Gatsby.", "pt"),
        ("Fale sobre Dark Side of the Moon.", "pt"),
        ("Describe O Alquimista.", "en"),
        ("Mac OS X", "en"),
        ("A flash with E-TTL for shop.com", "en"),
        ("CD-DA discs by O.P.I and Da Vinci", "en"),
        ("Vitamin E cream", "en"),
        ("Um copo de vidro.", "pt"),
        ("Caneca azul, 300 ml", "pt"),
        ("L\u00e1pis preto", "pt"),
        ("MANH\u00c3 DE SOL", "pt"),
        ("Fa\u00e7ade light, caf\u00e9 table", "en"),
    ],
)
def test_language(text, expected):
    assert detect_language(text) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Tem algo vermelho?", "pt"),
        ("tem algo vermelho", "pt"),
        ("o que e The Wall and the Sea of Dreams?", "pt"),
        ("voces tem The Art of the Deal of the Century", "pt"),
        ("Me fale de The Wall", "pt"),
        ("É de cobre?", "pt"),
        ("Do you have O Alquimista de Ouro e Prata?", "en"),
        ("hi, is O Alquimista any good?", "en"),
        ("Dovenka", "en"),
    ],
)
def test_the_first_known_word_of_a_question_shows_its_language(question, expected):
    assert question_language(question) == expected


def test_words_of_a_found_title_do_not_show_the_language():
    question = "The Wall and the Sea: quanto custa?"
    assert question_language(question) == "en"
    assert question_language(question, ["The Wall and the Sea"]) == "pt"
    assert question_language("O Alquimista, is it heavy?", ["Alquimista", "O Alquimista"]) == "en"


def test_where_no_word_shows_it_the_page_decides():
    assert question_language("Dovenka?", (), "pt") == "pt"
    assert question_language("What is Dovenka?", (), "pt") == "en"
    assert question_language("The Wall", ["The Wall"], "pt") == "pt"
