"""Check an answer's facts against its records: supported, contradicted or not mentioned."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from space.catalogue import detect_language, sentence_spans
from space.evidence.attribution import CITATION, NUMBER, STOP_WORDS, WORD, normalise_number
from space.evidence.fact_words import (
    COLOURS,
    COUNTED,
    IMPLIED,
    MATERIALS,
    NUMBER_WORDS,
    PLAIN_WORDS,
    UNITS,
    UNSTATED,
    fold_word,
    is_kind_of,
)

MAX_ANSWER = 8_000  # characters of an answer that are checked
MAX_RECORD = 20_000  # characters of a record that are read
MAX_VALUES = 2  # values of a record that are shown beside a contradicted fact

Kind = Literal["number", "name", "colour", "material", "noun"]
Verdict = Literal["supported", "contradicted", "unmentioned"]


@dataclass(frozen=True)
class Fact:
    """A fact of an answer: where it stands and what the records say of it."""

    start: int
    end: int
    kind: Kind
    verdict: Verdict
    record: int = 0  # from 1: the record that supports or contradicts it; 0 for none
    value: str = ""  # what that record has instead, of a contradicted fact


@dataclass(frozen=True)
class FactCheck:
    """The facts of an answer, in order, and the citations that they disprove."""

    facts: tuple[Fact, ...] = ()
    records: tuple[int, ...] = ()  # positions, from 1, of the records that judge
    cited: bool = False  # whether the answer cites them
    disproved: frozenset[int] = frozenset()  # where citations start whose record contradicts

    @property
    def supported(self) -> int:
        """The number of supported facts."""
        return sum(fact.verdict == "supported" for fact in self.facts)


@dataclass(frozen=True)
class _Token:
    start: int
    end: int
    text: str
    key: str  # without case and accents
    stem: str
    first: bool = False  # of its sentence
    content: bool = True  # no stop word, and no word that holds no fact


@dataclass(frozen=True)
class _Quantity:
    first: int  # indices of its tokens
    last: int
    start: int
    end: int
    value: float  # in the first unit of its kind
    raw: float  # as it is written
    kind: str  # of UNITS, "year" or "" for a plain number
    around: frozenset[str] = frozenset()  # stems beside it
    counts: frozenset[str] = frozenset()  # stems after a plain number: what it counts


@dataclass(frozen=True)
class _Run:
    """Capitalised words that stand together."""

    first: int
    last: int
    before: str  # the word before it, folded
    around: frozenset[str]


@dataclass(frozen=True)
class _Text:
    text: str
    tokens: tuple[_Token, ...]
    quantities: tuple[_Quantity, ...]
    runs: tuple[_Run, ...]
    language: str


@dataclass(frozen=True)
class _Record:
    position: int
    title: _Text
    content: _Text
    stems: frozenset[str]
    keys: frozenset[str]


@dataclass(frozen=True)
class _Segment:
    """A part of an answer that rests on the same records."""

    start: int
    end: int
    citations: tuple[tuple[int, int], ...] = ()  # (start, position) of its own citations


# --- reading a text --------------------------------------------------------------------------

_SUFFIXES = (
    "mente ments ment ingly ings ing ables able edly ness adas ados ada ado ando endo indo idas "
    "idos ida ido oes eis ais ers ed er es ly os as s"
).split()
_IRREGULAR = {
    "children": "child",
    "men": "man",
    "women": "woman",
    "feet": "foot",
    "leaves": "leaf",
    "people": "person",
    "wrote": "writ",
    "written": "writ",
    "shot": "shoot",
    "wove": "weav",
    "woven": "weav",
    "sewn": "sew",
    "built": "build",
    "bound": "bind",
    "sang": "sing",
    "sung": "sing",
    "gray": "grey",
}
_CONTRACTED = frozenset(
    "doesn isn don didn won wasn aren couldn wouldn hasn haven ve re ll".split()
)
_RANGE = re.compile(r"\s*(?:x|by|×|por|to|a|até|-|–|and|e|or|ou|,)\s*(?:\w{2,6}\s)?", re.I)
_PREFIXES = {"R$": "reais", "$": "dollars", "£": "pounds", "€": "euros"}
_SYMBOL = re.compile(r"\s?(%|°\s?[CF]?(?!\w)|€|\"(?!\w))")
_IN_UNIT = re.compile(r"\s*(?:[.,;)x×]|by\b|long\b|wide\b|high\b|tall\b|deep\b|$)")
_PERCENT = [["per", "cent"], ["por", "cento"]]
_PARTICLES = frozenset("de da do das dos del di van von of the and e y la le du".split())
_PLACE = frozenset("in em no na from at de".split())
_PERSON = frozenset("by por pelo pela".split())
_HYPERNYMS = frozenset("wood wooden madeira metal cloth fabric tecido pano plastic".split())
# They often stand for a thing, not for what another thing is made of.
_THINGS = frozenset(
    """glass vidro paper papel card cork stone pedra bone osso iron tin lime cherry pear drill
jersey lace straw clay foam board gold silver crystal concrete canvas""".split()
)


def stem(word: str) -> str:
    """Remove case, accents and the endings of inflection."""
    key = fold_word(word)
    if key in _IRREGULAR:
        return _IRREGULAR[key]
    if len(key) <= 3 or key.endswith("ss"):
        return key
    for suffix in _SUFFIXES:
        least = 3 if suffix in ("s", "es", "os", "as", "ed", "ing") else 4
        if key.endswith(suffix) and len(key) - len(suffix) >= least:
            key = key[: -len(suffix)]
            break
    if len(key) > 3 and key[-1] in "aeioy":
        key = key[:-1]
    if len(key) > 3 and key[-1] == key[-2]:
        key = key[:-1]
    return key


def _read_text(text: str) -> _Text:
    tokens = _read_tokens(text)
    quantities = _read_quantities(text, tokens)
    return _Text(text, tokens, quantities, _read_runs(text, tokens), detect_language(text))


def _read_tokens(text: str) -> tuple[_Token, ...]:
    blank = CITATION.sub(lambda found: " " * len(found[0]), text)
    starts = {start for start, _ in sentence_spans(blank)}
    tokens, begins = [], False
    end = 0
    for found in WORD.finditer(blank):
        begins = begins or any(at in starts for at in range(end, found.start() + 1))
        key, end = fold_word(found[0]), found.end()
        plain = key in PLAIN_WORDS or found[0].casefold() in STOP_WORDS or key in _CONTRACTED
        plain = plain and not (found[0] == "São" and not begins)
        content = not plain and (len(key) > 1 or key.isdigit())
        tokens.append(_Token(found.start(), end, found[0], key, stem(found[0]), begins, content))
        begins = False
    return tuple(tokens)


def _read_quantities(text: str, tokens: Sequence[_Token]) -> tuple[_Quantity, ...]:
    found, index = [], 0
    while index < len(tokens):
        quantity = _read_quantity(text, tokens, index)
        if quantity:
            found.append(quantity)
            index = quantity.last
        index += 1
    for place in range(len(found) - 2, -1, -1):  # "20 by 25 cm": the unit belongs to both
        this, after = found[place], found[place + 1]
        joins = _RANGE.fullmatch(text, this.end, after.start)
        if this.kind == "" and joins and after.kind not in ("", "year"):
            factor = after.value / after.raw if after.raw else 1
            found[place] = replace(this, kind=after.kind, value=this.raw * factor)
        elif this.kind == "" and joins and not this.counts:
            found[place] = replace(this, counts=after.counts)
    return tuple(found)


def _read_quantity(text: str, tokens: Sequence[_Token], index: int) -> _Quantity | None:
    read = _read_number(text, tokens, index)
    if read is None:
        return None
    raw, last = read
    start, end = tokens[index].start, tokens[last].end
    kind, factor, symbol_end, unit_tokens = _read_unit(text, tokens, last)
    end, last = max(end, symbol_end), last + unit_tokens
    for prefix, currency in _PREFIXES.items():
        if text[max(0, start - 3) : start].strip().endswith(prefix):
            kind, factor = currency, 1.0
            start = text.rindex(prefix, 0, start)
            break
    digits = tokens[index].text
    if not kind and len(digits) == 4 and digits.isdigit() and 1500 <= raw <= 2100:
        kind = "year"
    around = _stems_around(text, tokens, index, last)
    counts = frozenset()
    if not kind:
        counts = _stems_around(text, tokens, index, last, before=0, after=2)
    return _Quantity(index, last, start, end, raw * factor, raw, kind, around, counts)


def _read_number(text: str, tokens: Sequence[_Token], index: int) -> tuple[float, int] | None:
    """Return a number's value and the index of its last token."""
    token = tokens[index]
    if NUMBER.fullmatch(token.text):
        try:
            return float(normalise_number(token.text)), index
        except ValueError:  # a date or a version
            return None
    if token.key not in NUMBER_WORDS:
        return None
    value, last = NUMBER_WORDS[token.key], index
    while last + 1 < len(tokens) and text[token.end : tokens[last + 1].start] in (" ", "-"):
        token = tokens[last + 1]
        more = 1.0 if token.key == "one" else NUMBER_WORDS.get(token.key)
        if more is None or (more < 100 and (value < 20 or more > 9)):
            break
        value, last = (value + more, last + 1) if more < 100 else (value * more, last + 1)
    return value, last


def _read_unit(text: str, tokens: Sequence[_Token], last: int) -> tuple[str, float, int, int]:
    """Return the unit's kind, factor, end and number of tokens."""
    end = tokens[last].end
    if symbol := _SYMBOL.match(text, end):
        sign = symbol[1][0]
        kind, factor = UNITS["inch"] if sign == '"' else UNITS[sign]
        letter = len(symbol[1]) > 1
        return kind, factor, symbol.end(), int(letter)
    if last + 1 == len(tokens):
        return "", 1.0, end, 0
    token = tokens[last + 1]
    gap = text[end : token.start]
    if gap not in ("", " ", "\u00a0", "\u202f", "-", "  "):
        return "", 1.0, end, 0
    if [each.key for each in tokens[last + 1 : last + 3]] in _PERCENT:
        return "percent", 1.0, tokens[last + 2].end, 2
    if token.key == "in":
        inches = gap != "-" and _IN_UNIT.match(text, token.end)
        return ("length", 25.4, token.end, 1) if inches else ("", 1.0, end, 0)
    if token.key not in UNITS or token.text in ("M", "G", "S", "H"):
        return "", 1.0, end, 0
    return *UNITS[token.key], token.end, 1


def _stems_around(
    text: str, tokens: Sequence[_Token], first: int, last: int, before: int = 4, after: int = 4
) -> frozenset[str]:
    """Return the stems near tokens, within the same clause."""
    stems: set[str] = set()
    for indices in (range(first - 1, first - 1 - before, -1), range(last + 1, last + 1 + after)):
        for index in indices:
            if not 0 <= index < len(tokens):
                break
            low, high = sorted((tokens[index].start, tokens[last if index > last else first].end))
            if re.search(r"[.;:!?\n]", text[low:high].replace(tokens[index].text, "")):
                break
            token = tokens[index]
            if token.key in COUNTED:
                stems.add(COUNTED[token.key])
            elif token.key not in STOP_WORDS and not token.key[0].isdigit():
                stems.add(token.stem)
    return frozenset(stems)


def _read_runs(text: str, tokens: Sequence[_Token]) -> tuple[_Run, ...]:
    runs, index = [], 0
    while index < len(tokens):
        if not _is_capitalised(tokens[index]):
            index += 1
            continue
        first = last = index
        while True:
            following = last + 1
            while following < len(tokens) and (
                tokens[following].key in _PARTICLES or tokens[following].key == "s"
            ):
                following += 1
            if following >= len(tokens) or following - last > 3:
                break
            gap = text[tokens[last].end : tokens[following].start]
            joined = not re.search(r"[,;:!?()\n\[\]]|\.\s?\w{3}", gap)
            if not joined or not _is_capitalised(tokens[following]) or tokens[following].first:
                break
            last = following
        before = tokens[first - 1].key if first else ""
        runs.append(_Run(first, last, before, _stems_around(text, tokens, first, last)))
        index = last + 1
    return tuple(runs)


def _is_capitalised(token: _Token) -> bool:
    if not token.text[0].isupper() or len(token.text) == 1:
        return False
    return token.key not in STOP_WORDS or (token.text == "São" and not token.first)


@functools.lru_cache(256)
def _read_record(position: int, title: str, content: str) -> _Record:
    both = _read_text(title), _read_text(content[:MAX_RECORD])
    tokens = [*both[0].tokens, *both[1].tokens]
    stems = frozenset(token.stem for token in tokens)
    return _Record(position, *both, stems, frozenset(token.key for token in tokens))


# --- which records a part of an answer rests on ----------------------------------------------


def _read_segments(answer: str, count: int) -> Iterator[_Segment]:
    """Cut an answer behind its citations and sentences.

    Citations at a sentence's start belong to the sentence before.
    """
    pending: _Segment | None = None
    for start, end in sentence_spans(answer):
        for segment in _cut_sentence(answer, start, end, count):
            blank = not CITATION.sub("", answer[segment.start : segment.end]).strip(" .,;")
            if pending and blank:
                citations = pending.citations + segment.citations
                pending = _Segment(pending.start, segment.end, citations)
                continue
            if pending:
                yield pending
            pending = segment
    if pending:
        yield pending


def _cut_sentence(answer: str, start: int, end: int, count: int) -> Iterator[_Segment]:
    begin, citations, close = start, [], start
    for found in CITATION.finditer(answer, start, end):
        if citations and answer[close : found.start()].strip(" ,;"):
            yield _Segment(begin, close, tuple(citations))
            begin, citations = close, []
        close = found.end()
        if 1 <= int(found[1]) <= count:
            citations.append((found.start(), int(found[1])))
        at_start = not answer[start : found.start()].strip()
        if at_start:
            yield _Segment(begin, close, tuple(citations))
            begin, citations = close, []
    rest = answer[close:end].strip(" .,;")
    if rest and citations and len(rest.split()) > 1:
        yield _Segment(begin, close, tuple(citations))
        begin, citations = close, []
    if begin < end:
        yield _Segment(begin, end, tuple(citations))


def _choose_records(answer: _Text, records: Sequence[_Record]) -> list[_Record]:
    """Choose the record that an answer without citations names, or all."""
    stems = {token.stem for token in answer.tokens}
    shares = []
    for record in records:
        title = {token.stem for token in record.title.tokens if token.content}
        shares.append(len(title & stems) / len(title) if title else 0.0)
    best = max(shares, default=0.0)
    if best >= 0.5 and shares.count(best) == 1:
        return [records[shares.index(best)]]
    ranked = sorted(zip(shares, records, strict=True), key=lambda pair: -pair[0])
    return [record for _, record in ranked]


# --- judging ---------------------------------------------------------------------------------

_Judged = tuple[Verdict, str]  # and the record's value


def check_facts(answer: str, records: Sequence[Mapping[str, object]]) -> FactCheck:
    """Judge the facts of an answer by the records that it cites.

    All records judge an answer that cites none, unless it names one. A record has a title and a
    content. Facts are numbers with their units, names, colours, materials and other content words.
    A sentence that says what a record does not have holds none. Only MAX_ANSWER characters are
    checked.
    """
    texts = tuple((str(record["title"]), str(record["content"])) for record in records)
    return _check(answer[:MAX_ANSWER], texts)


@functools.lru_cache(64)
def _check(answer: str, texts: tuple[tuple[str, str], ...]) -> FactCheck:
    records = []
    for position, (title, content) in enumerate(texts, start=1):
        records.append(_read_record(position, title, content))
    if not records:
        return FactCheck()
    read = _read_text(answer)
    segments = list(_read_segments(answer, len(records)))
    facts: list[Fact] = []
    disproved: set[int] = set()
    everywhere = list(itertools.chain.from_iterable(part.citations for part in segments))
    cited = _cited_records(everywhere, records)
    asked = cited or _choose_records(read, records)
    for part in segments:
        own = _cited_records(part.citations, records)
        found = _judge_segment(read, part, own or asked)
        facts += found
        wrong = {fact.record for fact in found if fact.verdict == "contradicted"}
        citations = part.citations or everywhere
        disproved.update([start for start, position in citations if position in wrong])
    positions = tuple(sorted(record.position for record in asked))
    return FactCheck(tuple(facts), positions, bool(cited), frozenset(disproved))


def _cited_records(
    citations: Sequence[tuple[int, int]], records: Sequence[_Record]
) -> list[_Record]:
    positions = {position for _, position in citations}
    return [records[position - 1] for position in sorted(positions)]


def _judge_segment(answer: _Text, part: _Segment, records: Sequence[_Record]) -> list[Fact]:
    if UNSTATED.search(answer.text, part.start, part.end):
        return []
    facts: list[Fact] = []
    taken: set[int] = set()
    for quantity in answer.quantities:
        if part.start <= quantity.start < part.end:
            taken.update(range(quantity.first, quantity.last + 1))
            place = quantity.start, quantity.end
            facts.append(_judge(place, "number", records, _judge_quantity, quantity))
    for run in answer.runs:
        if part.start <= answer.tokens[run.first].start < part.end:
            _judge_run(answer, run, records, taken, facts)
    stems = {token.stem for token in answer.tokens if part.start <= token.start < part.end}
    for index, token in enumerate(answer.tokens):
        inside = part.start <= token.start < part.end
        if not inside or index in taken or not token.content or token.key[0].isdigit():
            continue
        fact = _judge_token(answer, index, records, stems)
        if fact is not None:
            facts.append(fact)
    return sorted(facts, key=lambda fact: fact.start)


def _judge(place: tuple[int, int], kind: Kind, records, judge, *values) -> Fact:
    """Judge by each record, of which one that supports is enough."""
    contradicted: Fact | None = None
    for record in records:
        verdict, value = judge(record, *values)
        if verdict == "supported":
            return Fact(*place, kind, verdict, record.position)
        if verdict == "contradicted" and contradicted is None:
            contradicted = Fact(*place, kind, verdict, record.position, value)
    return contradicted or Fact(*place, kind, "unmentioned")


def _judge_quantity(record: _Record, mine: _Quantity) -> _Judged:
    found = [(record.content, each) for each in record.content.quantities]
    found += [(record.title, each) for each in record.title.quantities]
    rivals = []
    for text, each in found:
        if mine.kind != each.kind:
            continue
        if _are_equal(mine, each) and not _count_others(mine, each):
            return "supported", ""
        if mine.kind or mine.counts & each.counts:
            rivals.append((len(mine.around & each.around), text.text[each.start : each.end]))
    if not rivals:
        # "It weighs 150." of 150 g
        present = any(mine.raw == each.raw and "" in (mine.kind, each.kind) for _, each in found)
        return ("supported" if present else "unmentioned"), ""
    best = max(rank for rank, _ in rivals)
    return "contradicted", _join([shown for rank, shown in rivals if rank == best])


def _are_equal(mine: _Quantity, other: _Quantity) -> bool:
    same_unit = mine.value * other.raw == other.value * mine.raw
    allowed = 1e-9 if same_unit else 0.01  # 8 inches are 20 cm, 4 lb are 1.8 kg
    return abs(mine.value - other.value) <= allowed * max(abs(mine.value), abs(other.value))


def _count_others(mine: _Quantity, other: _Quantity) -> bool:
    """Check whether two plain numbers count different things."""
    plain = not mine.kind and not other.kind
    return plain and bool(mine.counts and other.counts and not mine.counts & other.counts)


def _judge_run(answer, run, records, taken: set[int], facts: list[Fact]) -> None:
    """Judge capitalised words that stand together as one name."""
    indices = []
    for index in range(run.first, run.last + 1):
        token = answer.tokens[index]
        if index not in taken and token.content and token.key not in _PARTICLES:
            indices.append(index)
    words = [answer.tokens[index] for index in indices]
    if len(words) == 1 and (words[0].first or not _is_name(words[0])):
        return  # a sentence's first word, a colour or a material
    taken.update(range(run.first, run.last + 1))
    if not words:
        return
    missing = [word for word in words if not _is_known(word, records)]
    if not missing:
        place = words[0].start, words[-1].end
        facts.append(_judge(place, "name", records, _judge_known, words))
        return
    for first, last in _neighbours(missing, words):
        place = first.start, last.end
        facts.append(_judge(place, "name", records, _judge_name, answer, run, words))


def _is_name(token: _Token) -> bool:
    return token.key not in COLOURS and token.key not in MATERIALS


def _is_known(token: _Token, records: Sequence[_Record]) -> bool:
    return any(_has(record, token) for record in records)


def _has(record: _Record, token: _Token) -> bool:
    if token.stem in record.stems or token.key in record.keys:
        return True
    return bool(IMPLIED.get(token.key, frozenset()) & record.keys)


def _neighbours(missing: list[_Token], words: list[_Token]) -> Iterator[tuple[_Token, _Token]]:
    """Join missing words that follow each other in a name."""
    first: _Token | None = None
    last: _Token | None = None
    for word in words:
        if word in missing:
            first, last = first or word, word
        elif first and last:
            yield first, last
            first = last = None
    if first and last:
        yield first, last


def _judge_known(record: _Record, words: Sequence[_Token]) -> _Judged:
    known = all(_has(record, word) for word in words)
    return ("supported" if known else "unmentioned"), ""


def _judge_name(record: _Record, answer: _Text, run: _Run, words: Sequence[_Token]) -> _Judged:
    stems = {word.stem for word in words}
    title = [token for token in record.title.tokens if len(token.text) > 1]
    known = {token.stem for token in title if token.stem in stems}
    if known:
        # "The Skerry Fisherman's Bench" of a jumper: the title's words that it leaves out
        left = [token.text for token in title if token.content and token.stem not in known]
        left = [text for text in left if not text[0].isdigit()]
        whole = set(left) == {token.text for token in title if token.content}
        if left and not whole:
            return "contradicted", _join(left[:1])
        return "contradicted", record.title.text
    ranked = []
    for other in record.content.runs:
        names = {token.stem for token in record.content.tokens[other.first : other.last + 1]}
        rank = 10 * len(names & stems)
        rank += 2 * _same_role(run.before, other) + len(run.around & other.around)
        lone = other.first == other.last and record.content.tokens[other.first].first
        if not lone and (names & stems or _same_role(run.before, other)):
            ranked.append((rank, _run_text(record.content, other)))
    if not ranked:
        return "unmentioned", ""
    best = max(rank for rank, _ in ranked)
    return "contradicted", _join([name for rank, name in ranked if rank == best][:1])


def _same_role(before: str, other: _Run) -> bool:
    return any(before in role and other.before in role for role in (_PLACE, _PERSON))


def _run_text(text: _Text, run: _Run) -> str:
    return text.text[text.tokens[run.first].start : text.tokens[run.last].end]


def _judge_token(answer: _Text, index: int, records, stems: set[str]) -> Fact | None:
    token = answer.tokens[index]
    place = token.start, token.end
    kinds = []
    if token.key in COLOURS:
        kinds.append(("colour", COLOURS))
    if token.key in MATERIALS:
        kinds.append(("material", MATERIALS))
    judged = []
    for kind, names in kinds:
        judged.append(_judge(place, kind, records, _judge_kind, answer, index, names, stems))
    for verdict in ("supported", "contradicted"):
        for fact in judged:
            if fact.verdict == verdict:
                return fact
    if judged:
        return judged[0]
    fact = _judge(place, "noun", records, _judge_noun, answer, index)
    other_language = all(answer.language != record.content.language for record in records)
    # Plain words cannot be compared between languages.
    return None if other_language and fact.verdict != "supported" else fact


def _judge_kind(record: _Record, answer: _Text, index: int, names, stems: set[str]) -> _Judged:
    token = answer.tokens[index]
    if _has(record, token) or any(is_kind_of(names, token.key, key) for key in record.keys):
        return "supported", ""
    if token.key in _THINGS and not _is_made_of(answer, index, record):
        return "unmentioned", ""
    ranked: dict[str, int] = {}
    for text in (record.content, record.title):
        for at, other in enumerate(text.tokens):
            if other.key not in names or other.key in _HYPERNYMS or other.stem in stems:
                continue
            around = _stems_around(text.text, text.tokens, at, at)
            rank = len(around & stems)
            ranked[other.text.lower()] = max(rank, ranked.get(other.text.lower(), 0))
    if not ranked:
        return "unmentioned", ""
    best = max(ranked.values())
    return "contradicted", _join([name for name, rank in ranked.items() if rank == best])


def _is_made_of(answer: _Text, index: int, record: _Record) -> bool:
    before = {token.key for token in answer.tokens[max(0, index - 2) : index]}
    after = answer.tokens[index + 1 : index + 2]
    cues = {"of", "from", "de", "em"}
    return bool(before & cues) or any(token.content and _has(record, token) for token in after)


def _judge_noun(record: _Record, answer: _Text, index: int) -> _Judged:
    token = answer.tokens[index]
    if _has(record, token):
        return "supported", ""
    instead = _title_word_instead(record, answer, index)
    return ("contradicted", instead) if instead else ("unmentioned", "")


def _title_word_instead(record: _Record, answer: _Text, index: int) -> str:
    """Find the title's word that should stand where another does.

    It is "Engine" where an answer writes "the Grubb Tent" of a Grubb Engine.
    """
    if not index:
        return ""
    before = answer.tokens[index - 1]
    if before.key == "s" and index > 1:
        before = answer.tokens[index - 2]
    if not _is_capitalised(before) or before.first:
        return ""
    title = [token for token in record.title.tokens if len(token.text) > 1]
    for here, following in itertools.pairwise(title):
        if here.stem == before.stem and following.content and not following.key[0].isdigit():
            return following.text
    return ""


def _join(values: Sequence[str]) -> str:
    return ", ".join(list(dict.fromkeys(values))[:MAX_VALUES])
