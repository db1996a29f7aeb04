"""Questions as people ask them, with short answers, made from the facts of records."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from space.catalogue import Record, detect_language, normalise
from train.examples.facts import COLOURS, MATERIALS, NAME, YEAR, Fact, find_facts
from train.examples.phrases import COMPARED, PHRASES, SENTENCES

FORMS = {"fact": 0.5, "yes_no": 0.2, "compare": 0.15, "which": 0.15}
DONORS = 3_000  # records whose facts are compared or asked for wrongly, at most
OTHER_LANGUAGE = 0.15  # share of the questions that are not in the record's language
SHORT_NAME = 0.4  # share of the titles that are named without what follows a comma
PRICES = 0.2  # share of the unstated questions that are of a price, where others can be asked
DRAWS = 20  # donors looked at for one that can be compared
# A value that is read alike in both languages.
UNIVERSAL = re.compile(r"[\d.,x× ]+(?:kg|g|mm|cm|m|ml|l)?")
AMOUNT = re.compile(r"(\d+(?:[.,]\d+)*)\s?([^\W\d_]*)")
UNITS = {
    **dict.fromkeys(("mg", "mm", "ml"), 0.001),
    "cm": 0.01,
    **dict.fromkeys(("g", "gram", "m", "metre", "meter", "metro", "l", "litre", "liter"), 1.0),
    **{"grama": 1.0, "litro": 1.0, "": 1.0, "kg": 1000.0, "kilo": 1000.0, "quilo": 1000.0},
    **{"oz": 28.35, "ounce": 28.35, "lb": 453.6, "pound": 453.6, "inch": 0.0254, "in": 0.0254},
}
# What a record may be, by the words in it, and what its readers ask for.
TYPES = (
    (r"\b(?:DVD|Blu-ray|films?|filmes?|VHS)\b", ("director", "filmed", "duration", "price")),
    (
        r"\b(?:CDs?|LP|EP|album|álbum|discos?|cassette|songs?|tracks?|faixas?|vinyl|vinil)\b",
        ("tracks", "year", "label", "duration", "price"),
    ),
    (
        r"\b(?:pages?|páginas?|novel|paperback|hardback|books?|livros?|romance|author|autora?)\b",
        ("author", "pages", "year", "publisher", "weight", "price"),
    ),
)
GOODS = ("weight", "size", "material", "colour", "made_in", "guarantee", "age_range", "price")
MADE_OF = "|".join((*MATERIALS["en"], *MATERIALS["pt"]))
COLOURED = "|".join((*COLOURS["en"], *COLOURS["pt"]))
# Where a record has any of this it may say the fact in words that the rules do not know.
MENTIONS = {
    "weight": r"(?i)weigh|heav|light|\d\s?(?:k?g|oz|lbs?)\b|gram|kilo|pound|ounce|\bpes|\ble"
    r"v[ei]|quilo",
    "size": r"(?i)\d\s?(?:[mc]?m|in|ft|x|by)\b|inch|met(?:re|er|ro)|\bf(?:oo|ee)t\b|siz|long"
    r"|tall|wide|high"
    r"|big|small|large|little|tamanho|med[ei]|altura|largura|comprimento|grande|pequen|lengt"
    r"h|height",
    "material": rf"(?i)\bmade|material|feit[oa]|cloth|fabric|tecido|\b(?:{MADE_OF})",
    "colour": rf"(?i)colou?r|\bcor\b|cores|paint|dye|tint|\b(?:{COLOURED})",
    "made_in": r"[Mm]ade|[Ff]orged|[Kk]nit|[Ww]ov|[Ss]ew|[Bb]uil|[Cc]arve|[Ff]eit|[Ff]abric|"
    r"[Pp]rodu|[Cc]ostur"
    r"|\b(?:in|from|at|em|de|do|da|no|na)\s[A-ZÀ-Þ]|workshop|oficina|factory|mill|potter|wea"
    r"v|print|impress",
    "guarantee": r"(?i)guarant|warrant|garant|return|replac|refund|devol|troca",
    "age_range": r"(?i)\bage|child|kid|bab(?:y|ies)|toddler|year|month|adult|crianç|\banos?"
    r"\b|idade|beb[êe]"
    r"|meses|infant|birth|school|escola",
    "price": r"(?i)pric|cost|[£$€]|pound|reais|preç|cust|cheap|barat|expens|dollar|euro|wort"
    r"h|money|\bfree\b",
    "author": rf"(?i:author|wrote|writ|autor|escr[ei]|by\b|poe)|{NAME}",
    "pages": r"(?i)page|págin|\bpp\b",
    "year": rf"(?i){YEAR}|centur|sécul|\byear|\bano\b|'\d0s|\d0s\b",
    "publisher": r"(?i)publish|press|books|editor|issued|edition|edição|imprint|brought|saiu",
    "label": r"(?i)label|records|recordings|issue|releas|selo|lanç|gravadora|press",
    "director": rf"(?i:direct|diret|direç|made by|dirig|\bby\b)|{NAME}",
    "filmed": rf"(?i){YEAR}|centur|sécul|\byear|\bano\b|\d0s\b",
    "duration": r"(?i)\d:\d\d|minut|hour|hora|\bmin\b|long|last|dura",
    "tracks": r"(?i)track|song|piece|tune|hymn|carol|faixa|músic|canç|samba|choro|\d|cuts|mi"
    r"xes|remix|number"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dois|três|quatro|cinc"
    r"o|seis|sete|oito"
    r"|nove|dez|doze)\b",
}
COMPILED = {kind: re.compile(pattern) for kind, pattern in MENTIONS.items()}
TYPES_COMPILED = tuple((re.compile(pattern), kinds) for pattern, kinds in TYPES)


@dataclass(frozen=True)
class Question:
    """A question and its answer without the citation.

    `records` are those that the answer cites, in its order; `said` has for each the sentence that
    must be in the prompt. `names` are the records' names in the question, and `expected` what a
    right answer has. No other record in the prompt may have `unique`.
    """

    form: str
    text: str
    answer: str
    records: tuple[Record, ...]
    said: tuple[str, ...]
    names: tuple[str, ...]
    expected: tuple[str, ...]
    unique: str = ""


@dataclass(frozen=True)
class Known:
    """A record with one of its facts."""

    record: Record
    fact: Fact


class Asker:
    """Questions about records, drawn by a random.Random.

    `donors` give the values that a question asks for wrongly, and the records that it compares.
    `unstated` is the prompt template's sentence for what a record does not say, by language.
    """

    def __init__(self, donors: Sequence[Record], unstated: Mapping[str, str]) -> None:
        self.donors, self.sentences = donors[:DONORS], unstated

    @cached_property
    def known(self) -> dict[tuple[str, str], list[Known]]:
        """The donors' facts by (kind, language)."""
        known: dict[tuple[str, str], list[Known]] = {}
        for record in self.donors:
            language = detect_language(record["content"])
            for fact in find_facts(record):
                known.setdefault((fact.kind, language), []).append(Known(record, fact))
        return known

    def ask(self, record: Record, rng: random.Random) -> Question | None:
        """Ask for what a record says.

        None where the rules find nothing to ask for.
        """
        facts = find_facts(record)
        if not facts:
            return None
        fact = rng.choice(facts)
        form = rng.choices(list(FORMS), list(FORMS.values()))[0]
        language = _draw_language(record, fact, rng)
        made: dict[str, Callable[[], Question | None]] = {
            "yes_no": lambda: self._yes_no(record, fact, language, rng),
            "compare": lambda: self._compare(record, facts, language, rng),
            "which": lambda: _which(record, fact, language, rng),
        }
        question = made[form]() if form in made else None
        return question or _ask_fact(record, fact, language, rng)

    def ask_unstated(self, record: Record, rng: random.Random) -> Question | None:
        """Ask for what a record does not say.

        None where it may say, in other words, all that could be asked for.
        """
        text = f"{record['title']}. {record['content']}"
        kinds = [kind for kind in _kinds_of(text) if not COMPILED[kind].search(text)]
        if not kinds:
            return None
        # No record has a price, so it is not asked for alone.
        if len(kinds) > 1 and "price" in kinds and rng.random() > PRICES:
            kinds.remove("price")
        kind, language = rng.choice(kinds), detect_language(record["content"])
        if rng.random() < OTHER_LANGUAGE:
            language = "pt" if language == "en" else "en"
        phrases, name = PHRASES[kind][language], _draw_name(record, kind, language, rng)
        answer = self.sentences[language].format(what=phrases.what)
        text = rng.choice(phrases.questions).format(name=name)
        return Question("unstated", text, answer, (record,), ("",), (name,), ())

    def _yes_no(
        self, record: Record, fact: Fact, language: str, rng: random.Random
    ) -> Question | None:
        phrases = PHRASES[fact.kind][language]
        if not phrases.yes_no:
            return None
        asked, name = fact.value, _draw_name(record, fact.kind, language, rng)
        if rng.random() < 0.5:
            asked = self._other_value(record, fact, rng)
        if not asked:
            return None
        word = SENTENCES[language]["yes" if asked == fact.value else "no"]
        return Question(
            "yes_no",
            _begin(phrases.yes_no.format(name=name, value=asked)),
            f"{word}, {phrases.answer.format(value=fact.value)}.",
            (record,),
            (fact.sentence,),
            (name,),
            (fact.value,),
        )

    def _other_value(self, record: Record, fact: Fact, rng: random.Random) -> str:
        """Draw another record's value that this one does not have."""
        language, text = detect_language(record["content"]), _plain(record)
        known = self.known.get((fact.kind, language), [])
        for drawn in rng.choices(known, k=DRAWS) if known else []:
            value = normalise(drawn.fact.value)
            own = normalise(fact.value)
            if f" {value} " not in text and value not in own and own not in value:
                return drawn.fact.value
        return ""

    def _compare(
        self, record: Record, facts: Sequence[Fact], language: str, rng: random.Random
    ) -> Question | None:
        comparable = [fact for fact in facts if fact.kind in COMPARED and _amount(fact.value)]
        if not comparable:
            return None
        fact = rng.choice(comparable)
        known = self.known.get((fact.kind, detect_language(record["content"])), [])
        for other in rng.choices(known, k=DRAWS) if known else []:
            ours, theirs = _amount(fact.value), _amount(other.fact.value)
            if not theirs or ours == theirs or other.record["uid"] == record["uid"]:
                continue
            mine = (_draw_name(record, fact.kind, language, rng), fact, record, ours)
            their = (_draw_name(other.record, fact.kind, language, rng), other.fact, other.record)
            if normalise(mine[0]) in normalise(their[0]) or normalise(their[0]) in normalise(
                mine[0]
            ):
                continue
            most = rng.random() < 0.5
            pair = [mine, (*their, theirs)]
            pair.sort(key=lambda each: each[3] or 0, reverse=most)
            return _comparison(fact.kind, language, most, pair, rng)
        return None


def _comparison(
    kind: str, language: str, most: bool, pair: Sequence[tuple], rng: random.Random
) -> Question:
    (name, fact, record, _), (other_name, other, other_record, _) = pair
    compared = COMPARED[kind][language][0 if most else 1]
    names = [name, other_name]
    rng.shuffle(names)
    asked = rng.choice(SENTENCES[language]["compare"])
    text = asked.format(compared=compared, first=names[0], second=names[1])
    answer = SENTENCES[language]["compared"].format(
        name=_begin(name), compared=compared, value=fact.value, other=other.value
    )
    return Question(
        "compare",
        text,
        answer,
        (record, other_record),
        (fact.sentence, other.sentence),
        (name, other_name),
        (name.removeprefix("the "), fact.value, other.value),
    )


def _ask_fact(record: Record, fact: Fact, language: str, rng: random.Random) -> Question:
    phrases, name = PHRASES[fact.kind][language], _draw_name(record, fact.kind, language, rng)
    answer = _begin(phrases.answer.format(value=fact.value)) + "."
    text = rng.choice(phrases.questions).format(name=name)
    return Question("fact", text, answer, (record,), (fact.sentence,), (name,), (fact.value,))


def _which(record: Record, fact: Fact, language: str, rng: random.Random) -> Question | None:
    phrases = PHRASES[fact.kind][language]
    if fact.kind == "contents":
        return None
    predicate = phrases.predicate.format(value=fact.value)
    text = rng.choice(SENTENCES[language]["which"]).format(predicate=predicate)
    title = record["title"]
    return Question(
        "which",
        text,
        f"{title} {predicate}.",
        (record,),
        (fact.sentence,),
        (),
        (title, fact.value),
        fact.value,
    )


def ask_about_any(title: str, language: str, rng: random.Random) -> str:
    """Ask for a fact of a title, whatever it is."""
    kind = rng.choice(GOODS)
    return rng.choice(PHRASES[kind][language].questions).format(name=title)


def _draw_language(record: Record, fact: Fact, rng: random.Random) -> str:
    language = detect_language(record["content"])
    if rng.random() < OTHER_LANGUAGE and UNIVERSAL.fullmatch(fact.value):
        return "pt" if language == "en" else "en"
    return language


def _draw_name(record: Record, kind: str, language: str, rng: random.Random) -> str:
    """Name a record by its title or the title's beginning."""
    name = record["title"]
    short = re.split(r",\s|\s\(|\s-\s", name)[0].strip()
    if rng.random() < SHORT_NAME and len(short.split()) > 1:
        name = short
    thing = language == "en" and not name.lower().startswith(("the ", "a ", "an "))
    if thing and _kinds_of(f"{record['title']}. {record['content']}") is GOODS:
        return f"the {name}" if rng.random() < 0.5 else name
    return name


def _kinds_of(text: str) -> tuple[str, ...]:
    """Return what may be asked about a record with this text."""
    for pattern, kinds in TYPES_COMPILED:
        if pattern.search(text):
            return kinds
    return GOODS


def _amount(value: str) -> float | None:
    """Read one number as grams, metres, litres or a count.

    None for any other value.
    """
    match = AMOUNT.fullmatch(value)
    if match is None:
        return None
    number, unit = match[1], match[2].lower()
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", number):
        number = number.replace(",", "")
    unit = unit if unit in UNITS else unit.rstrip("s")
    try:
        return round(float(number.replace(",", ".")) * UNITS[unit], 6)
    except (KeyError, ValueError):
        return None


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(record: Record) -> str:
    return f" {normalise(record['title'])} {normalise(record['content'])} "


def has_value(record: Record, value: str) -> bool:
    """Tell whether a record has these words anywhere."""
    return f" {normalise(value)} " in _plain(record)


def drop_ambiguous(question: Question, others: Iterable[Record]) -> list[Record]:
    """Leave out the records that a question could mean too."""
    kept, cited = [], {record["uid"] for record in question.records}
    for record in others:
        title = normalise(record["title"])
        named = any(normalise(name.removeprefix("the ")) in title for name in question.names)
        if record["uid"] in cited or named:
            continue
        if question.unique and has_value(record, question.unique):
            continue
        kept.append(record)
    return kept
