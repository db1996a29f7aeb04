"""space/evidence/attribution.py: where sentences end, and which of a text those of a summary rest on, worked by hand."""

import time

import pytest

from space.evidence.attribution import plain_number, sentences, support, telling

LAMP = (
    "The lamp is made of brass. It weighs 3 kg. It burns oil for nine hours. Dr. Ana Lopes designed it in Évora. "
    "Made for a porch or a boat."
)
FILTRO = "O filtro é de latão. Pesa 3,5 kg. Não usa pilhas. A Sra. Lima o desenhou em São Tomé, p.ex. para o verão."


def split(text):
    return [text[start:end] for start, end in sentences(text)]


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
    assert split(text) == parts


def test_what_a_sentence_tells():
    assert telling("The LAMPS of the Ship's boat, 1,000 of 3.50") == [
        "lamp",
        "ship",
        "boat",
        "1000",
        "3.50",
    ]
    assert telling("A lâmpada é de aço") == ["lâmpada", "aço"]
    assert telling("e\u0301 ac\u0327o") == ["aço"], "a letter and its accent apart are the letter"
    assert telling("It is of the") == telling("🎉 ...") == []
    assert [plain_number(number) for number in ("1,000", "1.000", "1,5", "1.50", "12")] == [
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
    assert [sentence.rests_on for sentence in support(said, LAMP)] == [places]


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
    assert [sentence.rests_on for sentence in support(said, FILTRO)] == [places]


def test_a_number_that_no_such_sentence_has_is_named():
    assert [
        one.lacks
        for one in support("It weighs 5 kg. It weighs 3 kg. It weighs 3.0 kg or 7 kg.", LAMP)
    ] == [("5",), (), ("3.0", "7")]
    assert support("Pesa 3.5 kg.", FILTRO)[0].lacks == () and support("Pesa 1.200,5 kg.", FILTRO)[
        0
    ].lacks == ("1.200,5",)
    assert support("It weighs 3 kg [7].", LAMP)[0].lacks == (), "a citation is no number"
    assert support("9 days", LAMP)[0].lacks == (), (
        "a sentence that rests on nothing lacks everything"
    )


def test_each_sentence_rests_for_itself_and_one_without_words_on_nothing():
    said = "It weighs 3 kg. 🎉! It is. A gift."
    found = support(said, LAMP)
    assert [said[one.start : one.end] for one in found] == [
        "It weighs 3 kg.",
        "🎉!",
        "It is.",
        "A gift.",
    ]
    assert [(one.rests_on, one.says) for one in found] == [
        ((1,), True),
        ((), False),
        ((), False),
        ((), True),
    ]
    assert support("", LAMP) == [] and support("A lamp.", "")[0].rests_on == ()


def test_of_equals_the_shorter_and_then_the_first():
    assert support("Oak.", "Oak and ash and elm. Oak. Oak.")[0].rests_on == (1,)


def test_at_most_three_sentences():
    text = "Red oak. Blue ash. Green elm. Grey fir."
    assert support("Red oak, blue ash, green elm, grey fir.", text)[0].rests_on == (0, 1, 2)


def test_other_scripts_are_words_too():
    assert support("هو جيد", "هو جيد جدا. نعم.")[0].rests_on == (0,)
    assert support("良い", "はい。良いです。")[0].rests_on == (1,)


def test_a_long_text_takes_no_time():
    text = " ".join(f"The lamp number {place} is made of brass and oak." for place in range(2000))
    start = time.perf_counter()
    found = support(" ".join(f"Lamp {place} is of brass." for place in range(60)), text)
    assert time.perf_counter() - start < 3
    assert [one.rests_on for one in found] == [(place,) for place in range(60)]
    start = time.perf_counter()
    assert len(sentences("a. " * 50_000)) == 1 and len(sentences("A! " * 50_000)) == 50_000
    assert time.perf_counter() - start < 3


def test_a_page_of_dots_is_read_once():
    """As a table of contents has them; from each of its dots anew it took nine seconds."""
    begun = time.perf_counter()
    sentences("." * 20_000 + "x")
    assert time.perf_counter() - begun < 1
