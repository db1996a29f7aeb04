"""space/catalogue/examples.py: what a visitor may pick besides "What is ...?"."""

from space.catalogue import mixed_questions


def record(title: str, content: str) -> dict:
    return {"uid": title, "title": title, "content": content, "score": 1.0}


def test_a_fact_that_is_stated_a_comparison_and_what_is_not_there():
    records = [
        record("Oak Bench", "A bench that stands in the garden and lasts for years."),
        record("Ash Lamp", "The lamp of the reading room. It weighs 1.2 kg."),
        record("Tin Kettle", "A kettle with a lid, for the stove of the kitchen."),
    ]
    assert mixed_questions(records, lambda question: "submarine" in question) == [
        "How heavy is the Ash Lamp?",
        "Compare Oak Bench and Tin Kettle.",
        "Do you have a grand piano?",
    ]


def test_a_portuguese_catalogue_is_asked_in_portuguese():
    records = [record("Banco Liso", "Um banco para o jardim, feito de carvalho, da oficina.")]
    assert mixed_questions(records, lambda _: False) == [
        "De que é feito: Banco Liso?",
        "Vocês têm submarino?",
    ]


def test_nothing_is_asked_of_an_empty_catalogue_or_for_what_everything_finds():
    assert mixed_questions([], lambda _: False) == []
    assert mixed_questions([record("Box", "A box.")], lambda _: True) == []
