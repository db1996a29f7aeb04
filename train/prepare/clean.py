"""The rules of cleaning, and a block of lines cleaned by them; this runs in parallel processes."""

from __future__ import annotations

import functools
import html
import json
import re
import string
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import xxhash

from space.catalogue import normalise, sentence_spans
from train.prepare.source import Block, parse_line
from train.run import DroppedLine

SHORTEST = 3  # words of a content
LONGEST = 10_000  # characters of a content; a longer one is cut at a sentence
# A content that is one phrase of up to 8 words, three times or more, is junk.
LONGEST_PHRASE, REPEATS = 8, 3
BOILERPLATE = 5  # a content that as many titles share says nothing about any of them

EXAMPLES, EXAMPLE_LENGTH = 3, 120  # examples of a reason or rule, and characters of each
OPENING = 16  # words; contents that begin with the same ones are near duplicates

# Only HTML's own names are tags: "5 < 6 > 4" and "<3" stay.
PARTING_TAGS = (
    "address|article|blockquote|br|d[dlt]|div|h[1-6r]|li|[ou]l|p|pre|section|table|tbody|t[dhr]"
    "|thead"
)
OTHER_TAGS = (
    "a|abbr|b|big|body|center|cite|code|em|font|head|html|i|iframe|img|input|ins|link|meta|object"
    "|param|s|small|span|strike|strong|su[bp]|tt|u"
)
TAG_END = r"(?:\s[^<>=]*=[^<>]*|\s*/?)>"
ENTITY = re.compile(r"&(?:#|[^\t\n\f <&#;])[^\t\n\f <&#;]{0,31};?")  # all that html.unescape takes
INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\ufdd0-\ufdef]")
PUNCTUATION = string.punctuation.encode()
TYPOGRAPHIC = re.compile("[\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022\u00ab\u00bb\u00b4]")
BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")


# --- rules -----------------------------------------------------------------------------------


class Rule(NamedTuple):
    """A repair: its name and description in the report, and the function from texts to texts."""

    name: str
    description: str
    apply: Callable[[pl.Series], pl.Series]


def replace_matches(pattern: str, replacement: str) -> Callable[[pl.Series], pl.Series]:
    """Build a rule that replaces every match (Rust's, linear in time)."""
    return lambda texts: texts.str.replace_all(pattern, replacement)


def repair_where(
    needs_repair: Callable[[pl.Series], pl.Series], repair: Callable[[str], str]
) -> Callable[[pl.Series], pl.Series]:
    """Build a rule that repairs only the texts that need it."""

    def apply(texts: pl.Series) -> pl.Series:
        indices = needs_repair(texts).arg_true()
        if not len(indices):
            return texts
        before = texts[indices].to_list()
        after = list(map(repair, before))
        pairs = zip(before, after, strict=True)
        changed = [index for index, (old, new) in enumerate(pairs) if old != new]
        if not changed:
            return texts
        # scatter() changes the series that it is called on.
        return texts.clone().scatter(indices[changed], [after[index] for index in changed])

    return apply


def contains(pattern: str, literal: bool = False) -> Callable[[pl.Series], pl.Series]:
    """Build the test of texts for a pattern."""
    return lambda texts: texts.str.contains(pattern, literal=literal)


@functools.lru_cache(4096)
def _unescape_entity(entity: str) -> str:
    return html.unescape(entity)


def _unescape(text: str) -> str:
    for _ in range(3):
        if "&" not in text:
            break
        text = ENTITY.sub(lambda match: _unescape_entity(match[0]), text)
    return text


def _mojibake() -> dict[str, str]:
    """Map misread UTF-8 to what it was, such as "\u00c3\u00a9" to "\u00e9"."""
    found = {}
    signs = "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022\u2122\u20ac"
    for right in [*map(chr, range(0xA1, 0x100)), *signs]:
        for encoding in ("latin-1", "cp1252"):
            wrong = right.encode().decode(encoding, "ignore")
            # A closing guillemet after a capital is French or Portuguese, and two characters are
            # the least.
            if len(wrong) == len(right.encode()) and not wrong.endswith("\u00bb"):
                found[wrong] = right
    return found


MOJIBAKE = _mojibake()
MOJIBAKE_PATTERN = re.compile("|".join(sorted(map(re.escape, MOJIBAKE), key=len, reverse=True)))


def _fix_mojibake(text: str) -> str:
    return MOJIBAKE_PATTERN.sub(lambda match: MOJIBAKE[match[0]], text)


def _collapse_white_space(texts: pl.Series) -> pl.Series:
    # A single blank, nearly every match of a simpler pattern, is left as it is.
    texts = texts.str.replace_all(r"[[\s\x00-\x1f\x7f-\u009f]&&[^ ]]", " ")
    return texts.str.replace_all(" {2,}", " ").str.strip_chars()


def _cut(text: str) -> str:
    """Cut a long text at the end of a sentence or word."""
    if len(text) <= LONGEST:
        return text
    # The last span may be a sentence without its end; what follows a mark says whether it is one.
    spans = sentence_spans(text[: LONGEST + 100])[:-1]
    ends = [end for _, end in spans if end <= LONGEST]
    if ends:
        return text[: ends[-1]]
    return text[:LONGEST].rpartition(" ")[0] or text[:LONGEST]


RULES = (
    Rule(
        "entities",
        "HTML entities are undone, up to three times escaped",
        repair_where(contains("&", literal=True), _unescape),
    ),
    Rule(
        "comments",
        "comments, scripts and styles go with all that is in them",
        replace_matches(
            r"(?is)<!--.*?-->|<script\b[^<>]*>.*?</script\s*>|<style\b[^<>]*>.*?</style\s*>", " "
        ),
    ),
    Rule(
        "parting_tags",
        "tags that part words (paragraphs, breaks, lists) become a blank",
        replace_matches(rf"(?i)</?(?:{PARTING_TAGS}){TAG_END}", " "),
    ),
    Rule(
        "other_tags",
        "other tags of HTML go, and their text stays",
        replace_matches(rf"(?i)</?(?:{OTHER_TAGS}){TAG_END}", ""),
    ),
    Rule(
        "closed_entities",
        '"R&B;" was "R&B" before a parser closed the entity',
        replace_matches(r"&(\w+);", "&${1}"),
    ),
    Rule(
        "mojibake",
        "UTF-8 that was read as Latin-1 or Windows-1252 is read again",
        repair_where(contains("[\u00c2\u00c3\u00e2]"), _fix_mojibake),
    ),
    Rule(
        "shop_notes",
        "the shop's note on another edition goes",
        replace_matches(
            r"-{0,2}\s{0,2}This text refers to [^.]{1,80}?edition(?: of this title)?\.", " "
        ),
    ),
    Rule(
        "invisible",
        "soft hyphens, zero-width characters and noncharacters go",
        repair_where(contains(INVISIBLE.pattern), functools.partial(INVISIBLE.sub, "")),
    ),
    Rule(
        "white_space",
        "white space and control characters become one blank",
        _collapse_white_space,
    ),
    Rule(
        "nfc",
        "accents are composed (Unicode NFC)",
        repair_where(contains(r"[^\x00-\x7f]"), functools.partial(unicodedata.normalize, "NFC")),
    ),
    Rule(
        "cut",
        f"a text of over {LONGEST:,} characters is cut at a sentence",
        repair_where(lambda texts: texts.str.len_bytes() > LONGEST, _cut),
    ),
)

DROPS = {
    "blank": "an empty line",
    "broken": "not a JSON object, or a torn row",
    "oversized": "a line of over 16 MiB",
    "no_title": "no title is left",
    "no_content": "no content is left",
    "junk": f"no letter, the title again, or one phrase {REPEATS} times or more",
    "too_short": f"under {SHORTEST} words",
    "duplicate_title": "a title seen before, whatever its case, accents and punctuation",
    "boilerplate": f"a content that {BOILERPLATE} titles or more share",
    "duplicate_content": "a content seen before, whatever its case and punctuation",
    "not_sampled": "not among the records that --limit chose",
}


def clean_text(text: str) -> str:
    """Clean one text with all rules, to one line."""
    texts = pl.Series([text.encode("utf-8", "ignore").decode()])
    for rule in RULES:
        texts = rule.apply(texts)
    return texts[0]


def find_fault(title: str, content: str, canonical: bytes) -> str | None:
    """Return the reason to drop a clean record, or None.

    `canonical` is canonical_content(content).
    """
    if not title:
        return "no_title"
    if not content:
        return "no_content"
    has_letter = any(map(str.isalpha, content))
    if not has_letter or (
        len(content) <= 2 * len(title) and content.casefold() == title.casefold()
    ):
        return "junk"
    # A repeated phrase begins again within its own length; few other contents do, and only they
    # are looked at.
    if len(content) > 100 and canonical.find(canonical[:8], 1, 400) < 0:
        return None
    words = re.findall(r"\w+", content.casefold())
    for size in range(1, LONGEST_PHRASE + 1):
        if len(words) >= REPEATS * size and words[size:] == words[:-size]:
            return "junk"
    return "too_short" if len(words) < SHORTEST else None


def canonical_content(content: str) -> bytes:
    """Encode a content without case and punctuation.

    A content of symbols alone is encoded as it is.
    """
    if content.isascii():
        letters = content.encode().lower()
    else:
        letters = TYPOGRAPHIC.sub("", content.casefold()).encode()
    return letters.translate(None, PUNCTUATION) or content.encode()


# --- counting --------------------------------------------------------------------------------


@dataclass
class Tally:
    """Counts of lines read, dropped and repaired, each with the first examples."""

    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[DroppedLine]] = field(default_factory=lambda: defaultdict(list))
    repaired: Counter[str] = field(default_factory=Counter)
    repairs: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def kept(self) -> int:
        """How many lines are still records."""
        return self.read - self.dropped.total()

    def drop(self, reason: str, file: str, line: int, text: str) -> None:
        """Count one line."""
        self.dropped[reason] += 1
        if len(self.examples[reason]) < EXAMPLES:
            beginning = text.strip()[:EXAMPLE_LENGTH]
            self.examples[reason].append({"file": file, "line": line, "text": beginning})

    def add(self, other: Tally) -> None:
        """Add the tally of a later block."""
        self.read += other.read
        self.dropped.update(other.dropped)
        self.repaired.update(other.repaired)
        for reason, examples in other.examples.items():
            self.examples[reason] = (self.examples[reason] + examples)[:EXAMPLES]
        for rule, repairs in other.repairs.items():
            self.repairs[rule] = (self.repairs[rule] + repairs)[:EXAMPLES]

    def as_report(self) -> dict[str, Any]:
        """Return the fields of a report that a tally knows."""
        repaired = {
            rule: {"texts": count, "examples": self.repairs[rule]}
            for rule, count in self.repaired.items()
        }
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(self.dropped.most_common()),
            "examples": dict(self.examples),
            "repaired": repaired,
        }


# --- a block of lines ------------------------------------------------------------------------

# What is known of a record when its text is on the disk. Keys are xxh3 hashes, the same on every
# machine, 0 for an empty text.
KEYS = {
    "title_key": pl.UInt64,
    "content_key": pl.UInt64,
    "stem_key": pl.UInt64,
    "opening_key": pl.UInt64,
    "uid_key": pl.UInt64,
    "line": pl.UInt64,
    "characters": pl.UInt32,
    "title_characters": pl.UInt32,
}


@dataclass(frozen=True)
class Columns:
    """The source's names for a record's fields."""

    title: str = "title"
    content: str = "content"
    uid: str = "uid"


def clean_block(block: Block, columns: Columns, file: Path) -> Tally:
    """Write the block's clean records to an Arrow file.

    Its columns are uid, title, content and KEYS. The tally is written beside it first, so that a
    file that exists is complete.
    """
    tally = Tally(read=len(block.lines))
    frame = _parse_records(block, columns, tally)
    for name in ("title", "content"):
        frame = frame.with_columns(_apply_rules(frame[name], tally))
    frame = _add_keys(*_drop_faulty(frame, block, tally))
    unfinished = file.with_suffix(".unfinished")
    frame.write_ipc(unfinished, compression="uncompressed")
    counts = json.dumps(vars(tally) | {"name": block.part.name})
    file.with_suffix(".json").write_text(counts, encoding="utf-8")
    unfinished.replace(file)
    return tally


def read_tally(file: Path) -> Tally | None:
    """Read the tally of a block that was cleaned before, or None."""
    if not file.is_file():
        return None
    counts = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    return Tally(
        counts["read"],
        Counter(counts["dropped"]),
        defaultdict(list, counts["examples"]),
        Counter(counts["repaired"]),
        defaultdict(list, counts["repairs"]),
    )


def block_name(file: Path) -> str:
    """Read the name of the part that a cleaned block is from."""
    return json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["name"]


def _parse_records(block: Block, columns: Columns, tally: Tally) -> pl.DataFrame:
    lines, uids, titles, contents = [], [], [], []
    for number, text in enumerate(block.lines, start=block.line):
        item = parse_line(text)
        if isinstance(item, str):
            tally.drop(item, block.part.name, number, _beginning(text))
            continue
        uid = item.get(columns.uid)
        lines.append(number)
        uids.append(str(uid).strip() if isinstance(uid, (str, int)) else "")
        title, content = item.get(columns.title), item.get(columns.content)
        titles.append(title if type(title) is str else _field_text(title))
        contents.append(content if type(content) is str else _field_text(content))
    columns_of_records = {
        "line": pl.Series(lines, dtype=pl.UInt64),
        "uid": _string_series(uids),
        "title": _string_series(titles),
        "content": _string_series(contents),
    }
    return pl.DataFrame(columns_of_records)


def _field_text(value: object) -> str:
    """Join a list of strings, and take no other type for text."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = " ".join(value)
    return value if isinstance(value, str) else ""


def _string_series(texts: list[str]) -> pl.Series:
    try:
        return pl.Series(texts, dtype=pl.String)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and UTF-8 cannot
        valid = [text.encode("utf-8", "ignore").decode() for text in texts]
        return pl.Series(valid, dtype=pl.String)


def _beginning(text: bytes) -> str:
    return text[: 4 * EXAMPLE_LENGTH].decode("utf-8", "replace").strip()


def _apply_rules(texts: pl.Series, tally: Tally) -> pl.Series:
    for rule in RULES:
        after = rule.apply(texts)
        changed = (texts != after).arg_true()
        tally.repaired[rule.name] += len(changed)
        for index in changed[: EXAMPLES - len(tally.repairs[rule.name])]:
            tally.repairs[rule.name].append(_show_difference(texts[index], after[index]))
        texts = after
    return texts


def _show_difference(before: str, after: str) -> dict[str, str]:
    """Return both texts around the first character that differs."""
    pairs = enumerate(zip(before, after, strict=False))
    shorter = min(len(before), len(after))
    differs = next((index for index, (old, new) in pairs if old != new), shorter)
    start = max(0, differs - EXAMPLE_LENGTH // 4)
    end = start + EXAMPLE_LENGTH
    return {"before": before[start:end], "after": after[start:end]}


def _drop_faulty(
    frame: pl.DataFrame, block: Block, tally: Tally
) -> tuple[pl.DataFrame, list[bytes]]:
    """Return the records without a fault and their canonical contents."""
    titles, contents, lines = (frame[name].to_list() for name in ("title", "content", "line"))
    canonical = list(map(canonical_content, contents))
    good = []
    for index, texts in enumerate(zip(titles, contents, canonical, strict=True)):
        reason = find_fault(*texts)
        if reason is None:
            good.append(index)
        else:
            line = lines[index]
            text = _beginning(block.lines[line - block.line])
            tally.drop(reason, block.part.name, line, text)
    return frame[good], [canonical[index] for index in good]


def _add_keys(frame: pl.DataFrame, canonical: list[bytes]) -> pl.DataFrame:
    """Add what de-duplication and splitting need to know of each record."""
    titles = frame["title"].to_list()
    normalised = list(map(normalise, titles))
    stems = map(_title_stem, titles, normalised)
    values = {
        "title_key": hash_texts(map(str.encode, normalised)),
        "stem_key": hash_texts(map(str.encode, stems)),
        "content_key": hash_texts(canonical),
        "opening_key": hash_texts(map(_opening_words, canonical)),
        "uid_key": hash_texts(map(str.encode, frame["uid"].to_list())),
        "characters": frame["content"].str.len_chars(),
        "title_characters": frame["title"].str.len_chars(),
    }
    series = [pl.Series(name, column, dtype=KEYS[name]) for name, column in values.items()]
    return frame.with_columns(series)


def _title_stem(title: str, normalised: str) -> str:
    """Return a normalised title without what stands in its brackets."""
    if "(" not in title and "[" not in title:
        return normalised
    return normalise(BRACKETS.sub("", title)) or normalised


def _opening_words(canonical: bytes) -> bytes:
    words = canonical.split(b" ", OPENING)
    return b" ".join(words[:OPENING]) if len(words) > OPENING else b""


def hash_texts(texts: Iterable[bytes]) -> np.ndarray:
    """Return a 64-bit number for each text, 0 for an empty one."""
    numbers = (xxhash.xxh3_64_intdigest(text) if text else 0 for text in texts)
    return np.fromiter(numbers, dtype=np.uint64)
