"""Titles that a catalogue does not have, to ask for in training and in scoring."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence, Set

from space.catalogue import Record, detect_language, normalise

DONORS = 20_000  # records that give halves of their titles, at most
# The share of titles with invented words. Whoever tries a shop's page asks for anything, and a
# model that met only the shop's own words, swapped, answers other names with nonsense.
INVENTED = 0.5

ONSETS = (
    """b c d f g h j k l m n p r s t v w x y z b c d f g h j k l m n p r s t v w y z bl br ch cl cr
dr fl fr gl gr kl kr ph pl pr qu sc sh sk sl sn sp st str sw th tr tw wh wr zh""".split()
    + [""] * 6
)
VOWELS = (
    "a e i o u a e i o u y ai au ea ee ie oo ou".split(),
    "a e i o u a e i o u ã á é ê í ó ú ai ão ei eu io ou".split(),
)
CODAS = (
    "b ck d ff g k l ll m n n ng nt p r r rd rs s sh sk st t th tz x z".split() + [""] * 14,
    "l m n r r s s z".split() + [""] * 12,
)
JOINTS = ["of", "of the", *"the and & for with - de da do e para com".split()]
CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"


def invent_titles(
    records: Sequence[Record], titles: Set[str], split: str, seed: int
) -> Iterator[tuple[str, str]]:
    """Yield (title, language) without end.

    A title has invented words or halves of two other titles. None of them, normalised, is in
    `titles`, and none comes twice. `split` is "train" or "unseen": a title, and each invented word,
    is in one split by its hash, so that what is scored was never trained on. The languages take
    turns, so that the answer in the rarer one is learned too. Yields nothing where there is no
    record.
    """
    rng, known = random.Random(f"{seed} {split}"), set(titles)
    donors: dict[str, list[str]] = {}
    for record in records[:DONORS]:
        donors.setdefault(detect_language(record["content"]), []).append(record["title"])

    def in_split(word: str) -> bool:
        return hash_split(normalise(word)) == split

    for language in itertools.cycle(sorted(donors)):
        if rng.random() < INVENTED:
            title = invent_title(rng, in_split)
        else:
            title = swap_halves(rng.choice(donors[language]), rng.choice(donors[language]))
        key = normalise(title)
        if key not in known and hash_split(key) == split:
            known.add(key)
            yield title, language


def swap_halves(first: str, second: str) -> str:
    """Join one title's first half and the other's second half."""
    ours, theirs = first.split(), second.split()
    return " ".join([*ours[: (len(ours) + 1) // 2], *theirs[len(theirs) // 2 :]])


def hash_split(key: str) -> str:
    """Return "train" or "unseen" for a normalised title."""
    return ("train", "unseen")[hashlib.sha256(key.encode()).digest()[0] % 2]


def invent_title(rng: random.Random, allowed: Callable[[str], bool]) -> str:
    """Invent a title of one to six words.

    Such as "Zumbrix 9000", "HJK-77 Trand" or "Blonti of the Wrath". They sound English or
    Portuguese whatever language the question is in: its own words must say which. Every word is
    `allowed`, except those that join two others.
    """

    def draw(make: Callable[[random.Random], str]) -> str:
        word = make(rng)
        while not allowed(word):
            word = make(rng)
        return word

    words = [draw(invent_word)]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3))):
        words.append(draw(rng.choices((invent_word, draw_number, invent_code), (70, 15, 15))[0]))
    if len(words) > 1 and rng.random() < 0.2:
        words.insert(rng.randrange(1, len(words)), rng.choice(JOINTS))
    elif rng.random() < 0.1:
        words.insert(0, draw(invent_code))
    return " ".join(words)


def invent_word(rng: random.Random) -> str:
    """Join one to three syllables, mostly with one capital letter."""
    vowels, codas = rng.choice(tuple(zip(VOWELS, CODAS, strict=True)))
    syllables = []
    for _ in range(rng.choice((1, 2, 2, 2, 3, 3))):
        syllables.append(rng.choice(ONSETS) + rng.choice(vowels) + rng.choice(codas))
    word = "".join(syllables)
    spellings = (
        word.capitalize(),
        word,
        word.upper(),
        "".join(map(str.capitalize, syllables)),
        rng.choice("eiu") + word.capitalize(),
    )
    return rng.choices(spellings, (70, 10, 8, 7, 5))[0]


def draw_number(rng: random.Random) -> str:
    """Draw a number of one to four digits."""
    return str(rng.randrange(1, 10 ** rng.randint(1, 4)))


def invent_code(rng: random.Random) -> str:
    """Invent a model's code: capitals, digits or both."""
    count = rng.randint(1, 3)
    letters = "".join(rng.choice(CONSONANTS + "AEIOU") for _ in range(count))
    pattern = rng.choice(("{0}{1}", "{0}-{1}", "{0}", "{1}{0}"))
    return pattern.format(letters, draw_number(rng))
