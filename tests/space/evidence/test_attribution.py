"""Which sentences of a text those of a summary rest on, worked out by hand."""

import time

import pytest

from space.catalogue import sentence_spans
from space.evidence.attribution import attribute_summary, content_words, normalise_number

LAMP = (
    "The lamp is made of brass. It weighs 3 kg. It burns oil for nine hours. "
    "Dr. Ana Lopes designed it in Évora. Made for a porch or a boat."
)
FILTRO = (
    "O filtro é de latão. Pesa 3,5 kg. Não usa pilhas. "
    "A Sra. Lima o desenhou em São Tomé, p.ex. para o verão."
)


def sources(summary, text):
    """The indices of the text's sentences that each one of the summary rests on."""
    spans = sentence_spans(text)
    found = []
    for sentence in attribute_summary(summary, text):
        found.append(tuple(spans.index(span) for span in sentence.sources))
    return found


def test_what_a_sentence_tells():
    assert content_words("The LAMPS of the Ship's boat, 1,000 of 3.50") == [
        "lamp",
        "ship",
        "boat",
        "1000",
        "3.50",
    ]
    assert content_words("A lâmpada é de aço") == ["lâmpada", "aço"]
    assert content_words("e\u0301 ac\u0327o") == ["aço"], (
        "a letter and its accent apart are the letter"
    )
    assert content_words("It is of the") == content_words("🎉 ...") == []
    assert [normalise_number(number) for number in ("1,000", "1.000", "1,5", "1.50", "12")] == [
        "1000",
        "1000",
        "1.5",
        "1.50",
        "12",
    ]


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ("A brass lamp.", (0,)),  # lamp, brass: both of the first
        ("A brass lamp that weighs 3 kg.", (0, 1)),  # weigh, 3, kg; then lamp, brass
        ("It weighs 5 kg.", (1,)),  # weigh and kg are there, 5 is not
        ("5 years, 7 kg", ()),  # one word of four
        ("Designed in Évora by Ana Lopes", (3,)),
        ("Designed in Evora", (3,)),  # half of it: accents count
        (
            "It burns lamp oil for nine hours on one filling.",
            (2,),
        ),  # burn, oil, nine, hour of 7; lamp alone adds too little
        ("A nice gift for all.", ()),
        ("A boat of gold and glass.", ()),  # one word of three
    ],
)
def test_what_an_english_sentence_rests_on(said, places):
    assert sources(said, LAMP) == [places]


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ("O filtro é feito de latão.", (0,)),
        ("Ele pesa 3.5 kg.", (1,)),
        ("Ele pesa 35 kg.", (1,)),
        ("Filtro de latão que pesa 3,5 kg", (0, 1)),
        ("Desenhado pela Sra. Lima em São Tomé", (3,)),
        ("Um belo presente.", ()),
    ],
)
def test_what_a_portuguese_sentence_rests_on(said, places):
    assert sources(said, FILTRO) == [places]


def test_a_number_that_no_such_sentence_has_is_named():
    assert [
        one.missing_numbers
        for one in attribute_summary(
            "It weighs 5 kg. It weighs 3 kg. It weighs 3.0 kg or 7 kg.", LAMP
        )
    ] == [("5",), (), ("3.0", "7")]
    assert attribute_summary("Pesa 3.5 kg.", FILTRO)[0].missing_numbers == () and attribute_summary(
        "Pesa 1.200,5 kg.", FILTRO
    )[0].missing_numbers == ("1.200,5",)
    assert attribute_summary("It weighs 3 kg [7].", LAMP)[0].missing_numbers == (), (
        "a citation is no number"
    )
    assert attribute_summary("9 days", LAMP)[0].missing_numbers == (), (
        "a sentence that rests on nothing lacks everything"
    )


def test_each_sentence_rests_for_itself_and_one_without_words_on_nothing():
    said = "It weighs 3 kg. 🎉! It is. A gift."
    found = attribute_summary(said, LAMP)
    assert [said[one.start : one.end] for one in found] == [
        "It weighs 3 kg.",
        "🎉!",
        "It is.",
        "A gift.",
    ]
    assert list(zip(sources(said, LAMP), [one.has_content for one in found], strict=True)) == [
        ((1,), True),
        ((), False),
        ((), False),
        ((), True),
    ]
    assert sources("", LAMP) == [] and sources("A lamp.", "") == [()]


def test_of_equals_the_shorter_and_then_the_first():
    assert sources("Oak.", "Oak and ash and elm. Oak. Oak.")[0] == (1,)


def test_at_most_three_sentences():
    text = "Red oak. Blue ash. Green elm. Grey fir."
    assert sources("Red oak, blue ash, green elm, grey fir.", text)[0] == (0, 1, 2)


def test_other_scripts_are_words_too():
    assert sources("هو جيد", "هو جيد جدا. نعم.")[0] == (0,)
    assert sources("良い", "はい。良いです。")[0] == (1,)


def test_a_long_text_takes_no_time():
    text = " ".join(f"The lamp number {place} is made of brass and oak." for place in range(2000))
    start = time.perf_counter()
    found = sources(" ".join(f"Lamp {place} is of brass." for place in range(60)), text)
    assert time.perf_counter() - start < 3
    assert found == [(place,) for place in range(60)]
