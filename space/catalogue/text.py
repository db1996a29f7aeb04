"""Words as the index spells them: normalise(), the words that only ask, and a word's one-letter slips."""

from __future__ import annotations

import re
import unicodedata

# Words that ask, and say nothing about which record is meant; spelled as normalise() leaves them.
QUESTION_WORDS = frozenset(
    """a about an and are as at can cost costs could describe did do does find for from give have
how i in is it know made make me much of on or please price s show tell that the there this to was weigh weighs were what
when where which who why will with would you your
ao aos com como conte custa da das de descreva diga do dos e em essa esse esta este eu explique fale feita feito foi
gostaria isso mais me mostre na nas no nos o onde os ou para pesa pode por preco qual quais quando quanto que quem sabe
sao ser sobre tem um uma voce
""".split()
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SLIP_LENGTHS = range(
    2, 25
)  # letters; a shorter word is one slip away from too many, a longer one is no word

_PLAIN = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_MARKS = re.compile(
    "[" + "".join(filter(unicodedata.combining, map(chr, range(0x300, 0x1F000)))) + "]+"
)
_PART = re.compile(r"[\W_]+")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_SYMBOLS = re.compile(r"(?<!\S)[^\w\s]+(?!\S)")


def normalise(title: str) -> str:
    """Returns `title` casefolded, without accents and punctuation, its words one blank apart.

    A title of symbols alone keeps them, casefolded and stripped.
    """
    return " ".join(spelled(title).split()) or title.casefold().strip()


def spelled(text: str) -> str:
    """Returns `text` with the words of normalise(), any number of blanks apart."""
    latin = text if text.isascii() else _BEYOND_ASCII.sub(_latin, text)
    plain = latin.translate(_PLAIN) if latin.isascii() else _PART.sub(" ", _folded(text))
    return _folded(text) if plain.isspace() else plain


def _folded(text: str) -> str:
    folded = text.casefold()
    if folded.isascii():
        return folded
    sound = folded.encode("utf-8", "ignore").decode()  # without lone surrogates
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", sound))
    return unicodedata.normalize("NFC", bare).casefold()


def _ascii_letters() -> dict[str, str]:
    """The letters and signs of European languages that ASCII can spell, and how: most texts have no others.

    Letter by letter this is what _folded() does: nothing that becomes ASCII joins with its neighbours.
    """
    spellings = {
        letter: _PART.sub(" ", _folded(letter))
        for letter in map(chr, (*range(0x80, 0x250), *range(0x2000, 0x2150)))
    }
    return {letter: spelling for letter, spelling in spellings.items() if spelling.isascii()}


_ASCII = _ascii_letters()


def _latin(found: re.Match) -> str:
    return _ASCII.get(found[0], found[0])


def symbols(text: str) -> list[str]:
    """Returns the words of `text` that are symbols alone, with and without a last mark that may be the sentence's."""
    return [
        spelling
        for word in _SYMBOLS.findall(text.casefold())
        for spelling in (word, word[:-1])
        if spelling
    ]


def says_nothing(title: str) -> bool:
    """Whether a spelled title has question words alone, or symbols: no word of it tells one record from another."""
    words = title.split()
    return QUESTION_WORDS.issuperset(words) or not any(map(str.isalnum, words))


def slips(word: str) -> set[str]:
    """Returns what one slip makes of `word`: a letter lost, added, replaced, or changed with the next.

    Empty for words with a digit, since another number is another thing, and outside of SLIP_LENGTHS.
    """
    if len(word) not in SLIP_LENGTHS or not word.isalpha():
        return set()
    halves = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    lost = {left + right[1:] for left, right in halves if right}
    swapped = {left + right[1] + right[0] + right[2:] for left, right in halves if len(right) > 1}
    replaced = {left + letter + right[1:] for left, right in halves if right for letter in LETTERS}
    added = {left + letter + right for left, right in halves for letter in LETTERS}
    return (lost | swapped | replaced | added) - {word}


def plain(text: str) -> str:
    """Returns `text` without control characters (line breaks and tabs stay), noncharacters and outer blanks."""
    kept = (
        char
        for char in text
        if char in "\n\t"
        or not (unicodedata.category(char) in ("Cc", "Cs") or 0xFDD0 <= ord(char) <= 0xFDEF)
    )
    return "".join(kept).strip()


FUNCTION_WORDS = {
    "en": frozenset(
        "the and of is it in to for with that this what are about from which tell me you describe".split()
    ),
    "pt": frozenset(
        "o a e de do da é em um para com que os as dos das por sobre no na não qual fale você descreva".split()
    ),
}


BOTH = frozenset("a as do no".split())  # words of either language, which show neither


def language(text: str) -> str:
    """Returns "pt" or "en", by which language has more function words in `text`; where both have as many, that of the first.

    The first word of a question is the asker's own, the others may be a title's. English where no word shows it.
    """
    words = [word for word in re.findall(r"\w+", text.lower()) if word not in BOTH]
    found = [code for word in words for code, known in FUNCTION_WORDS.items() if word in known]
    if found.count("pt") == found.count("en"):
        return next(iter(found), "en")
    return "pt" if found.count("pt") > found.count("en") else "en"
