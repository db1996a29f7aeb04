"""Text as the catalogue reads it: normalised words, one-letter edits, language, sentences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Words that ask, and do not tell which record is meant; spelled as normalise() leaves them.
QUESTION_WORDS = frozenset(
    """a about an and are as at can cost costs could describe did do does find for from give have
how i in is it know made make me much of on or please price s show tell that the there this to was
weigh weighs were what when where which who why will with would you your
ao aos com como conte custa da das de descreva diga do dos e em essa esse esta este eu explique
fale feita feito foi gostaria isso mais me mostre na nas no nos o onde os ou para pesa pode por
preco qual quais quando quanto que quem sabe sao ser sobre tem um uma voce""".split()
)
FUNCTION_WORDS = {
    "en": frozenset(
        """the and of is it in to for with that this what are about from which tell me you
describe""".split()
    ),
    "pt": frozenset(
        """o a e de do da é em um para com que os as dos das por sobre no na não qual fale você
descreva""".split()
    ),
}
# More words of a text that show its language. Words of both show neither.
_COMMON_WORDS = {
    "en": frozenset(
        """after all also an and any at be been before but by can comes each from had has have
he her his if includes into its it's made more my not off on one only or other our out over she
so some such than their them then there these they through two under up use used was we were
when who will without your""".split()
    ),
    "pt": frozenset(
        """aos ate até cada dois duas ela ele entre essa esse esta este feita feito foi isso já
mais mas meu minha muito nas nos num numa ou pela pelo pelos pelas quando são se sem ser seu sua
seus suas só também tem todo toda todos todas três à às uma""".split()
    ),
}
_ENGLISH = FUNCTION_WORDS["en"] | _COMMON_WORDS["en"]
_PORTUGUESE = FUNCTION_WORDS["pt"] | _COMMON_WORDS["pt"]
_SHOW_LANGUAGE = (_ENGLISH | _PORTUGUESE) - set("a as do no".split()) - (_ENGLISH & _PORTUGUESE)
# Letters, endings and words of Portuguese, for a text without any of the words above.
_PORTUGUESE_SPELLING = re.compile(
    r"[ãõáíóú]|ç[ao]s?\b|ên|[a-z](?:ável|ível|inho|inha|agem|eiro|eira|mento)\b|\b(?:azul|branc[ao]"
    r"|caixa|caneca|copo|couro|livro|madeira|preta|preto|tamanho|unidades?|vermelh[ao]|vidro)\b"
)
# A word as a text has it: not a part of "CD-DA", "E-TTL", ".com" or "o2".
_WORD = re.compile(r"(?<![\w.@/&'’-])[^\W\d_]+(?:['’][^\W\d_]+)?(?![\w@/&]|[-.'’]\w)")
SHORT_WORD = 3  # letters; such a word with a capital may be a part of a name: "Da Vinci"

# Words of a question that are its asker's own, as normalise() leaves them; those of both languages
# ("a", "do") show neither.
ASKED_IN = {
    "en": frozenset(
        """about am an and any anything are buy can compare could describe did do does excuse find
from give good had has have hello hey hi how i in is it its know like list looking made make many
morning much my need of or please price recommend say show some something summarize take tell thank
thanks that the their there these they this those to want was we weigh weighs were what whats when
where which who whose why will with would you your""".split()
    ),
    "pt": frozenset(
        """algo alguem algum alguma algumas alguns ao aos aquela aquele bom boa busco com como
compara compare comprar conte custa da das de descreva diga dizer do dos e ela ele em essa esse esta
estao este estou eu existe explica explique fala fale faz feita feito foi gostaria ha isso isto la
lista liste mais meu mim minha mostra mostre na nas nos o obrigada obrigado oi ola onde os ou para
pela pelo pesa pode podem por porque posso preciso preco procuro qual quais quando quanta quanto
quantos que quem queria quero resuma sabe sao ser serve sobre sua tem tenho tudo um uma vale vende
vendem voce voces""".split()
    ),
}
_ASKED_IN_BOTH = ASKED_IN["en"] & ASKED_IN["pt"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
EDITABLE_LENGTHS = range(2, 25)  # letters; a shorter word has too many neighbours

_ASCII_FOLDED = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_COMBINING = "".join(filter(unicodedata.combining, map(chr, range(0x300, 0x1F000))))
_MARKS = re.compile(f"[{_COMBINING}]+")
_NOT_WORD = re.compile(r"[\W_]+")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_SYMBOLS = re.compile(r"(?<!\S)[^\w\s]+(?!\S)")

# --- words -----------------------------------------------------------------------------------


def normalise(title: str) -> str:
    """Fold a title's case, accents and punctuation, and join its words.

    A title of symbols alone keeps them, casefolded and stripped.
    """
    return " ".join(fold(title).split()) or title.casefold().strip()


def fold(text: str) -> str:
    """Return the words of normalise(), with any number of spaces between."""
    latin = text if text.isascii() else _BEYOND_ASCII.sub(_fold_letter, text)
    if latin.isascii():
        folded = latin.translate(_ASCII_FOLDED)
    else:
        folded = _NOT_WORD.sub(" ", _fold_unicode(text))
    return _fold_unicode(text) if folded.isspace() else folded


def _fold_unicode(text: str) -> str:
    folded = text.casefold()
    if folded.isascii():
        return folded
    encodable = folded.encode("utf-8", "ignore").decode()  # without lone surrogates
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", encodable))
    return unicodedata.normalize("NFC", bare).casefold()


def _ascii_spellings() -> dict[str, str]:
    """Map the letters and signs that fold to ASCII.

    Most texts of European languages have no others. Folding letter by letter is right here: nothing
    that becomes ASCII joins with its neighbours.
    """
    spellings = {}
    for code in (*range(0x80, 0x250), *range(0x2000, 0x2150)):
        spelling = _NOT_WORD.sub(" ", _fold_unicode(chr(code)))
        if spelling.isascii():
            spellings[chr(code)] = spelling
    return spellings


_ASCII_SPELLINGS = _ascii_spellings()


def _fold_letter(found: re.Match[str]) -> str:
    return _ASCII_SPELLINGS.get(found[0], found[0])


def symbol_words(text: str) -> list[str]:
    """Find words of symbols alone, with and without a last mark."""
    found = []
    for word in _SYMBOLS.findall(text.casefold()):
        found += [word, word[:-1]]
    return [word for word in found if word]


def is_telling(word: str) -> bool:
    """Check whether a normalised word can tell records apart."""
    return word not in QUESTION_WORDS and any(map(str.isalnum, word))


def only_asks(folded: str) -> bool:
    """Check whether a folded title has only question words or symbols."""
    words = folded.split()
    return QUESTION_WORDS.issuperset(words) or not any(map(str.isalnum, words))


def one_letter_edits(word: str) -> set[str]:
    """Return all words at Damerau-Levenshtein distance 1.

    Empty for a word with a digit, since another number is another thing, and for one of a length
    outside of EDITABLE_LENGTHS.
    """
    if len(word) not in EDITABLE_LENGTHS or not word.isalpha():
        return set()
    edits: set[str] = set()
    for index in range(len(word) + 1):
        left, right, rest = word[:index], word[index:], word[index + 1 :]
        edits.update([left + letter + right for letter in LETTERS])
        if right:
            edits.add(left + rest)
            edits.update([left + letter + rest for letter in LETTERS])
        if rest:
            edits.add(left + rest[0] + right[0] + rest[1:])
    return edits - {word}


def detect_language(text: str) -> str:
    """Return "pt" or "en", whichever has more function words in the text.

    A word in capitals, as a part of another or as a short part of a name shows nothing: "OS X",
    "E-TTL", ".com", "Da Vinci". Of equals the language of the first such word: it is the asker's
    own, where others may be a title's. Where no word shows it, Portuguese spelling does; else it is
    English.
    """
    votes = []
    in_capitals = text.isupper()
    for found in _WORD.finditer(text):
        word = found[0].lower()
        if word in _SHOW_LANGUAGE and (in_capitals or _is_plain(text, found)):
            votes.append(word in _PORTUGUESE)
    if not votes:
        return "pt" if _PORTUGUESE_SPELLING.search(text.lower()) else "en"
    if 2 * sum(votes) == len(votes):
        return "pt" if votes[0] else "en"
    return "pt" if 2 * sum(votes) > len(votes) else "en"


def _is_plain(text: str, found: re.Match[str]) -> bool:
    """Check whether a function word is no part of a name."""
    word = found[0]
    if word.islower():
        return True
    following = text[found.end() : found.end() + 2].strip()
    if len(word) > SHORT_WORD:
        return not word.isupper()
    begins = not (before := text[: found.start()].rstrip()) or before[-1] in ".!?:"
    return begins and (len(word) == 1 or not word.isupper()) and following.islower()


def question_language(question: str, titles: Iterable[str] = (), default: str = "") -> str:
    """Return "pt" or "en", by the first word that shows a language.

    Accents do not matter.
    Words of `titles` in the question show none. Where no word shows it, `default`, or English.
    """
    line = f" {normalise(question)} "
    for title in sorted(titles, key=len, reverse=True):
        if key := normalise(title):
            line = line.replace(f" {key} ", " \0 ")
    for word in line.split():
        if word not in _ASKED_IN_BOTH:
            for language, words in ASKED_IN.items():
                if word in words:
                    return language
    return default or "en"


# --- sentences -------------------------------------------------------------------------------

Span = tuple[int, int]  # of a text: its first character and the one after its last

SHORT_LINE = 50  # characters; a line that ends before is no line that was wrapped
# Possessive, and begun where a run of marks begins: a page of dots would be read from each dot.
_MARK_OR_BREAK = re.compile(
    r"(?<![.!?…؟۔।])[.!?…؟۔।]++[\"'”’»)\]]*+(?=\s|$)|[。！？]+[」』”’)]*|\n"
)
_NEXT_CHARACTER = re.compile(r"\s*[\"'“‘«(\[¿¡]*(\S?)")
_LIST_ITEM = re.compile(r"\s*(?:[-*•–—·]|\d{1,3}[.)])[ \t]")
_LAST_WORD = re.compile(r"[\w.]+$")
_ABBREVIATIONS = frozenset(
    "dr dra mr mrs ms sr sra srta prof profa st jr e.g i.e p.ex eng exmo vs cf".split()
)
_BEFORE_NUMBERS = frozenset(
    """no nr n núm num p pp pg pág págs fig figs vol art cap ed approx aprox ca tel r ref""".split()
)


def sentence_spans(text: str) -> list[Span]:
    """Return where each sentence stands, in order, without the spaces around it.

    A sentence ends at its mark where no lower-case letter follows, but not after an abbreviation,
    an initial or a list's number; at an empty line; before a list's item; and where a short line
    ends and no lower-case letter follows.
    """
    spans: list[Span] = []
    start = 0
    for found in _MARK_OR_BREAK.finditer(text):
        if _ends_sentence(text, start, found):
            _add_span(spans, text, start, found.end())
            start = found.end()
    _add_span(spans, text, start, len(text))
    return spans


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text, in order, none empty."""
    return [text[start:end] for start, end in sentence_spans(text)]


def _add_span(spans: list[Span], text: str, start: int, end: int) -> None:
    part = text[start:end]
    if part.strip():
        spans.append((start + len(part) - len(part.lstrip()), start + len(part.rstrip())))


def _ends_sentence(text: str, start: int, found: re.Match[str]) -> bool:
    """Check whether the sentence from `start` ends with this mark or break."""
    following = _NEXT_CHARACTER.match(text, found.end())
    after = following[1] if following else ""
    if found[0] == "\n":
        return _line_ends_sentence(text, found.start(), after)
    if after.islower():
        return False
    last_word = _LAST_WORD.search(text, max(start, found.start() - 24), found.start())
    if found[0] != "." or not after or not last_word:
        return True
    word, folded = last_word[0], last_word[0].casefold()
    if folded in _ABBREVIATIONS or (folded in _BEFORE_NUMBERS and after.isdigit()):
        return False
    if len(word) == 1 and word.isupper():  # an initial
        return False
    line_start = text.rfind("\n", 0, last_word.start()) + 1
    begins_line = not text[line_start : last_word.start()].strip()
    return not (word.isdigit() and len(word) <= 3 and begins_line)


def _line_ends_sentence(text: str, index: int, after: str) -> bool:
    """Check whether a line break ends a sentence before the character `after`."""
    empty_line = re.match(r"[ \t\r]*\n", text[index + 1 : index + 80])
    if empty_line or _LIST_ITEM.match(text, index + 1):
        return True
    line = text[text.rfind("\n", 0, index) + 1 : index]
    return len(line) < SHORT_LINE and not after.islower()
