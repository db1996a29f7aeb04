"""Names that nobody gave to anything: as many as are wanted, unlike one another, the same always, of allowed words alone."""

import random
import re

from train.examples.foreign import JOINTS, code, foreign_title, spoken


def titles(count, allowed=lambda word: True, seed=1):
    rng = random.Random(seed)
    return [foreign_title(rng, allowed) for _ in range(count)]


def test_they_are_the_same_always_and_hardly_ever_alike():
    assert titles(50) == titles(50) != titles(50, seed=2)
    assert len(set(titles(1000))) > 950


def test_they_look_like_whatever_people_ask_for():
    made = titles(1000)
    assert max(len(title.split()) for title in made) <= 6 and all(
        title == " ".join(title.split()) for title in made
    )
    for look in (
        r"^[A-Z][a-z]+$",
        r" \d{4}$",
        r"[A-Z]+-?\d+",
        r"^[eiu][A-Z][a-z]",
        r"[a-z][A-Z][a-z]",
        r"^[a-z]+",
        r"\b[A-Z]{4}",
        r" of | de ",
        r"[ãáéí]",
    ):
        assert 5 < sum(bool(re.search(look, title)) for title in made) < 900, look
    letters = {letter for title in made for letter in title.casefold()}
    assert set("abcdefghijklmnopqrstuvwxyz0123456789-&") <= letters


def test_every_word_is_an_allowed_one_or_joins_two():
    joints = {word for joint in JOINTS for word in joint.split()}
    for title in titles(200, allowed=lambda word: len(word) % 2 == 0):
        words = title.split()
        assert words[0] not in joints and words[-1] not in joints
        assert all(len(word) % 2 == 0 or word in joints for word in words)


def test_a_word_can_be_spoken_and_a_code_can_not():
    rng = random.Random(0)
    assert all(re.search(r"[aeiouyãáéêíóú]", spoken(rng).casefold()) for _ in range(200))
    assert all(re.fullmatch(r"[A-Z\d-]+", code(rng)) for _ in range(200))
