"""Facts that rules find in a record: as it writes them, of itself, and only where it is plain."""

import pytest

from train.examples.facts import find_facts


def facts(content, title="Pellow Hand Trowel, Ash"):
    record = {"uid": "1", "title": title, "content": content}
    return {fact.kind: fact.value for fact in find_facts(record)}


@pytest.mark.parametrize(
    ("content", "kind", "value"),
    [
        ("It weighs 1.5 kg.", "weight", "1.5 kg"),
        ("The trowel is slim and weighs about 230 g.", "weight", "230 g"),
        ("É de aço. O conjunto pesa 1,9 kg.", "weight", "1,9 kg"),
        ("Não tem cabo. Vazio, pesa 5,8 kg.", "weight", "5,8 kg"),
        ("It is 33 cm long.", "length", "33 cm"),
        ("It stands 21 cm high and weighs 1.1 kg.", "height", "21 cm"),
        ("It measures 44 by 36 cm on the floor.", "size", "44 by 36 cm"),
        ("A mala mede 40 x 30 x 60 cm e não tem rodas. Mede 40 x 30 x 60 cm.", "size", ""),
        ("The trowel holds 2 litres.", "capacity", "2 litres"),
        ("It has 214 pages and a brown spine.", "pages", "214"),
        ("It runs for 82 minutes in black and white.", "duration", "82"),
        ("2004 release features 26 tracks including a remix.", "tracks", "26"),
        ("It was published by Quillet & Sons in 2020.", "year", "2020"),
        ("It was published by Quillet & Sons in 2020.", "publisher", "Quillet & Sons"),
        ("O livro saiu em 2011 e não voltou.", "year", "2011"),
        ("Maren Oldcastle wrote this slow novel.", "author", "Maren Oldcastle"),
        ("Written by J. G. Merquior, with care.", "author", "J. G. Merquior"),
        ("Comedy directed by Hilda Brockenhurst in 1966.", "director", "Hilda Brockenhurst"),
        ("For ages 3 to 10.", "age_range", "3 to 10"),
        ("A partir de 8 anos, com um adulto.", "age_from", "8 anos"),
        ("The trowel is Kentish ash with a steel tang.", "material", "Kentish ash"),
        ("The colour is black instead of olive.", "colour", "black"),
        ("Made in Hebden Bridge.", "made_in", "Hebden Bridge"),
        ("Feita em São Leopoldo, com cuidado.", "made_in", "São Leopoldo"),
        ("Guaranteed for ten years.", "guarantee", "ten years"),
        ("It comes with a cotton bag and a spare pin.", "contents", "a cotton bag and a spare pin"),
        ("Genre:Jazz MusicMedia Format:Compact DiskRating:", "genre", "Jazz Music"),
    ],
)
def test_a_fact_is_found_as_it_is_written(content, kind, value):
    title = "Mala Pequena" if not value else "Pellow Hand Trowel"
    assert facts(content, title).get(kind) == (value or "40 x 30 x 60 cm")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("The head weighs 450 g.", "weight"),
        ("Full, it weighs 11 kg.", "weight"),
        ("A size M weighs 760 g.", "weight"),
        ("It weighs 300 g. It weighs 400 g with its case.", "weight"),
        ("It comes with a booklet of 24 pages.", "pages"),
        ("The last 30 pages are notes.", "pages"),
        ("It is made in UK sizes 8 to 20.", "made_in"),
        ("The spring is guaranteed for five years.", "guarantee"),
        ("Not for ages 3 to 10.", "age_range"),
        ("It comes with no charger.", "contents"),
        ("Her first novel was published in 1950.", "year"),
        ("The handle is beech.", "material"),
        ("Features 2 bonus tracks.", "tracks"),
    ],
)
def test_a_part_a_condition_or_two_values_are_no_fact(content, kind):
    assert kind not in facts(content, "Pellow Hand Trowel")


def test_a_title_has_a_material_or_a_colour_as_a_part_of_its_own():
    assert facts("No more.", "Minnow Ukulele, Sapele, Navy") == {
        "material": "sapele",
        "colour": "navy",
    }
    assert facts("No more.", "Border Fork, Ash Handle") == {}


def test_a_fact_keeps_the_sentence_that_says_it():
    content = "It is slim. It weighs 230 g. No more."
    (fact,) = find_facts({"uid": "1", "title": "Trowel", "content": content})
    assert fact.sentence == "It weighs 230 g."
