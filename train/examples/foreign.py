"""Names that nobody gave to anything: made of syllables, letters and figures, like those of brands, books and models."""

from __future__ import annotations

import random
from collections.abc import Callable

ONSETS = (
    """b c d f g h j k l m n p r s t v w x y z b c d f g h j k l m n p r s t v w y z bl br ch cl cr dr fl fr gl gr kl kr ph
pl pr qu sc sh sk sl sn sp st str sw th tr tw wh wr zh""".split()
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
JOINTS = (
    "of",
    "of the",
    "the",
    "and",
    "&",
    "for",
    "with",
    "-",
    "de",
    "da",
    "do",
    "e",
    "para",
    "com",
)
CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"


def foreign_title(rng: random.Random, allowed: Callable[[str], bool]) -> str:
    """Returns one to five words such as "Zumbrix 9000", "iQuell", "HJK-77 Trand" or "Blonti of the Wrath".

    They sound English or Portuguese, whichever language is asked in: what the question's language is, its own words must say.
    Every word is `allowed`, but for those that join two others.
    """

    def drawn(make: Callable[[random.Random], str]) -> str:
        while not allowed(word := make(rng)):
            pass
        return word

    words = [drawn(spoken)]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3))):
        words.append(drawn(rng.choices((spoken, figure, code), weights=(70, 15, 15))[0]))
    if len(words) > 1 and rng.random() < 0.2:
        words.insert(rng.randrange(1, len(words)), rng.choice(JOINTS))
    elif rng.random() < 0.1:
        words.insert(0, drawn(code))
    return " ".join(words)


def spoken(rng: random.Random) -> str:
    """Returns one to three syllables, written as names are: mostly with one capital letter."""
    vowels, codas = rng.choice(tuple(zip(VOWELS, CODAS, strict=True)))
    count = rng.choice((1, 2, 2, 2, 3, 3))
    parts = [
        "".join((rng.choice(ONSETS), rng.choice(vowels), rng.choice(codas))) for _ in range(count)
    ]
    whole = "".join(parts)
    return rng.choices(
        (
            whole.capitalize(),
            whole,
            whole.upper(),
            "".join(part.capitalize() for part in parts),
            rng.choice("eiu") + whole.capitalize(),
        ),
        weights=(70, 10, 8, 7, 5),
    )[0]


def figure(rng: random.Random) -> str:
    """Returns a number of one to four digits."""
    return str(rng.randrange(1, 10 ** rng.randint(1, 4)))


def code(rng: random.Random) -> str:
    """Returns what a model may be called: capitals, figures or both."""
    letters = "".join(rng.choice(CONSONANTS + "AEIOU") for _ in range(rng.randint(1, 3)))
    return rng.choice(("{0}{1}", "{0}-{1}", "{0}", "{1}{0}")).format(letters, figure(rng))
