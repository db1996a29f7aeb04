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
from train.prepare.mojibake import MOJIBAKE, fix_mojibake
from train.prepare.sketch import SKETCH, sketch_texts
from train.prepare.source import Block, Columns, parse_line
from train.run import DroppedLine

SHORTEST = 3  # words of a content
LONGEST = 10_000  # characters of a content; a longer one is cut at a sentence
# A content that is one phrase of up to 8 words, three times or more, is junk.
LONGEST_PHRASE, REPEATS = 8, 3
BOILERPLATE = 5  # a content that as many titles share says nothing about any of them

EXAMPLES, EXAMPLE_LENGTH = 3, 120  # examples of a reason or rule, and characters of each
SHORTEST_GLUED = 4  # characters of a title that may have lost its space
# Words that stand before a name, and after one. In lists of their own: "Pass" and "over" are words
# too, but "Passover" is another.
BEFORE_NAMES = frozenset(
    """about after against although and around as behind beneath between beyond but by com da das de
do dos em from in into like na nas no nos of on onto or over para particularly pela pelo sem
since sobre than that the this though through under until upon when where which while whose
with without""".split()
)
AFTER_NAMES = frozenset(
    """appears apresenta are can't captures closes comes conta contains conveys could couldn't
delivers didn't doesn't explores features finds foi follows gives had has hasn't have includes
is is isn't makes marks may might mostra must offers opens picks presents prompted proves
provides raises reveals seems shines should showcases shows sounds starts takes tells tem traz
was wasn't were will won't works would wouldn't""".split()
)
_WORD_BEFORE = re.compile(r"[^\W\d_]+\Z")
_WORD_AFTER = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")
OPENING = 16  # words; contents that begin with the same ones are near duplicates

# Only HTML's own names are tags: "5 < 6 > 4" and "<3" stay.
PARTING_TAGS = (
    "address|article|aside|blockquote|body|br|button|caption|center|col|colgroup|d[dlt]|details"
    "|dialog|div|fieldset|figcaption|figure|footer|form|h[1-6r]|header|hgroup|html|li|main|menu|nav"
    "|[ou]l|optgroup|option|p|pre|search|section|select|summary|table|tbody|t[dhr]|textarea|tfoot"
    "|thead|video"
)
OTHER_TAGS = (
    "a|abbr|acronym|area|audio|b|base|bdi|bdo|big|canvas|cite|code|data|datalist|del|dfn|em|embed"
    "|font|frame|frameset|head|i|iframe|img|input|ins|kbd|label|legend|link|map|mark|marquee|meta"
    "|meter|nobr|noscript|object|output|param|picture|progress|q|rp|rt|ruby|s|samp|slot|small|source"
    "|span|strike|strong|su[bp]|svg|template|time|track|tt|u|var|wbr|(?:o|v|w|m|st[0-9]):[a-z]+"
)
# Names that are words too, those of drawings, are tags only with an attribute or a slash.
DRAWING_TAGS = (
    "circle|clippath|defs|ellipse|g|line|lineargradient|mask|path|polygon|polyline|radialgradient"
    "|rect|stop|symbol|text|title|tspan|use"
)
TORN_NAMES = "div|font|img|li|ol|span|strong|t[dr]|table|ul"
TAG_NAMES = f"{PARTING_TAGS}|{OTHER_TAGS}"
TAG_END = r"(?:\s[^<>=]*=[^<>]*|\s*/?)>"
# The end of a tag whose beginning was cut off, and the beginning of one without its end: with an
# attribute, with a slash, or directly after the end of a sentence.
_TORN_BEGINNING = re.compile(r"""\A[^<>"]{0,300}"\s*/>\s*|\A[^<>]{0,300}\w="[^"<>]*"\s*/?>\s*""")
_TORN_END = re.compile(
    rf"""(?i)(?:<(?:{TAG_NAMES})\s+[\w:-]+\s*=[^<>]*|</[a-z]{{0,12}}\s*|\s<(?:br|{TORN_NAMES})\s*/?"""
    rf"""|([.!?:;)"'\u2019\u201d])</?[a-z]{{0,10}}\s*)\Z"""
)
ENTITY = re.compile(r"&(?:#|[^\t\n\f <&#;])[^\t\n\f <&#;]{0,31};?")  # all that html.unescape takes
INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\ufdd0-\ufdef]")
# Marks of a text's direction: inside they order its words, at its ends they do nothing.
END_MARKS = "\u061c\u200c-\u200f\u202a-\u202e\u2066-\u2069"
# "C++" is not "C", "C#" not "C", and "+2.00" not "-2.00".
PUNCTUATION = string.punctuation.encode().translate(None, b"+#")
_MINUS = re.compile(rb"(?<![^\s(])-(?=[.\d])")
_TELLING = re.compile(r"(?<=\w)[+#]+|(?<!\w)[+\-\u2212](?=[.,]?\d)|[\u2640\u2642]")
TYPOGRAPHIC = re.compile("[\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022\u00ab\u00bb\u00b4]")
END_MARK = re.compile(rf"\A[\s{END_MARKS}]*[{END_MARKS}]|[{END_MARKS}][\s{END_MARKS}]*\Z")
# What shops write where nobody wrote a text.
PLACEHOLDER = (
    r"(?i)^[\W_]*(?:(?:there is )?no (?:product )?description"
    r"|(?:there is )?no (?:product )?(?:description|content|summary|details|information)"
    r"(?: is| was)?(?: yet| currently)? (?:available|provided|found|given)(?: yet)?"
    r"|(?:product )?description (?:is )?(?:not |un)available(?: yet)?"
    r"|(?:produto )?sem descri\u00e7\u00e3o(?: dispon\u00edvel)?"
    r"|(?:nenhuma )?descri\u00e7\u00e3o (?:n\u00e3o |in)?dispon\u00edvel)[\W_]*$"
)
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


def _trim_invisible(text: str) -> str:
    return END_MARK.sub("", INVISIBLE.sub("", text))


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


def _remove_torn_tags(text: str) -> str:
    text = _TORN_BEGINNING.sub("", text)
    return _TORN_END.sub(r"\1", text)


def _unchanged(texts: pl.Series) -> pl.Series:
    return texts


ENCODING = Rule(
    "encoding",
    "a line that is not UTF-8 is read as Windows-1252; a letter that was cut goes",
    _unchanged,  # a line is decoded before it has texts
)
GLUED = Rule(
    "glued",
    'the space that was lost beside a title comes back: "Firecrackerpicks up"',
    _unchanged,  # it takes title and content
)
RULES = (
    ENCODING,
    Rule(
        "entities",
        "HTML entities are undone, up to three times escaped",
        repair_where(contains("&", literal=True), _unescape),
    ),
    Rule(
        "comments",
        "comments, scripts, styles and drawings go with all that is in them",
        replace_matches(
            r"(?is)<!--.*?-->|<script\b[^<>]*>.*?</script\s*>|<style\b[^<>]*>.*?</style\s*>"
            r"|<svg\b[^<>]*>.*?</svg\s*>",
            " ",
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
        replace_matches(
            rf"(?i)</?(?:{OTHER_TAGS}){TAG_END}"
            rf"|<(?:{DRAWING_TAGS})(?:\s[^<>=]*=[^<>]*|\s*/)>|</(?:{DRAWING_TAGS})\s*>",
            "",
        ),
    ),
    Rule(
        "torn_tags",
        "the rest of a tag that was cut off at the beginning or the end goes",
        repair_where(contains(r"^[^<>]*/?>|<[^<>]*$"), _remove_torn_tags),
    ),
    Rule(
        "closed_entities",
        '"R&B;" was "R&B" before a parser closed the entity',
        replace_matches(r"&(\w+);", "&${1}"),
    ),
    Rule(
        "mojibake",
        "UTF-8 that was read as Latin-1 or Windows-1252 is read again",
        repair_where(contains(MOJIBAKE), fix_mojibake),
    ),
    Rule(
        "shop_notes",
        "the shop's note on another edition goes",
        replace_matches(
            r"(?i)-{0,2}\s{0,2}This text refers to [^.]{1,80}?edition(?: of this title)?\.", " "
        ),
    ),
    Rule(
        "invisible",
        "soft hyphens, zero-width characters and noncharacters go, and marks of direction at the "
        "ends",
        repair_where(
            contains(rf"{INVISIBLE.pattern}|^\s*[{END_MARKS}]|[{END_MARKS}]\s*$"), _trim_invisible
        ),
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
        "placeholders",
        '"No description available" and the like are no text',
        replace_matches(PLACEHOLDER, ""),
    ),
    Rule(
        "cut",
        f"a text of over {LONGEST:,} characters is cut at a sentence",
        repair_where(lambda texts: texts.str.len_bytes() > LONGEST, _cut),
    ),
    GLUED,
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
    if b" -" in letters:
        letters = _MINUS.sub(b"\x01", letters)  # a sign that stays
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

    def repair(self, rule: str, before: str, after: str) -> None:
        """Count one text, and keep the first as examples."""
        self.repaired[rule] += 1
        if len(self.repairs[rule]) < EXAMPLES:
            self.repairs[rule].append(_show_difference(before, after))

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


def clean_block(block: Block, columns: Columns, file: Path) -> Tally:
    """Write the block's clean records to an Arrow file.

    Its columns are uid, title, content and KEYS. The tally is written beside it first, so that a
    file that exists is complete.
    """
    tally = Tally(read=len(block.lines))
    frame = _parse_records(block, columns, tally)
    for name in ("title", "content"):
        frame = frame.with_columns(_apply_rules(frame[name], tally))
    frame = frame.with_columns(_part_titles(frame, tally))
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
    recoded: list[tuple[str, str]] = []
    for number, text in enumerate(block.lines, start=block.line):
        item = parse_line(text, recoded)
        if isinstance(item, str):
            tally.drop(item, block.part.name, number, _beginning(text))
            continue
        uid = item.get(columns.uid)
        lines.append(number)
        uids.append(uid.strip() if type(uid) is str else _number_text(uid))
        title, content = item.get(columns.title), item.get(columns.content)
        titles.append(title if type(title) is str else _field_text(title))
        contents.append(content if type(content) is str else _field_text(content))
    for before, after in recoded:
        tally.repair(ENCODING.name, before, after)
    columns_of_records = {
        "line": pl.Series(lines, dtype=pl.UInt64),
        "uid": _string_series(uids),
        "title": _string_series(titles),
        "content": _string_series(contents),
    }
    return pl.DataFrame(columns_of_records)


def _field_text(value: object) -> str:
    """Return a field's text: a string, strings joined, or a number."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = " ".join(value)
    return value if isinstance(value, str) else _number_text(value)


def _number_text(value: object) -> str:
    """Write a number as text, 4.0 as "4"."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number and value == value else ""


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


def _part_titles(frame: pl.DataFrame, tally: Tally) -> pl.Series:
    """Put the space back that a content lost beside its title."""
    titles, contents = frame["title"].to_list(), frame["content"].to_list()
    for index, (title, content) in enumerate(zip(titles, contents, strict=True)):
        if len(title) < SHORTEST_GLUED or title not in content:
            continue
        parted = part_title(title, content)
        if parted != content:
            tally.repair(GLUED.name, content, parted)
            contents[index] = parted
    return pl.Series("content", contents, dtype=pl.String)


def part_title(title: str, content: str) -> str:
    """Put a space back before and after a title inside a content.

    The word beside it must be one that stands beside names, and a capital must begin the title.
    """
    if not title[:1].isupper():
        return content
    several = " " in title
    found = []
    for match in re.finditer(re.escape(title), content):
        at, end = match.span()
        before = _WORD_BEFORE.search(content, max(0, at - 20), at)
        after = _WORD_AFTER.match(content, end)
        is_before = before is not None and (
            before[0] in BEFORE_NAMES or (several and before[0].islower() and len(before[0]) > 3)
        )
        is_after = after is not None and _follows_name(after[0], several)
        if (before is not None and not is_before) or (after is not None and not is_after):
            continue  # a part of another word
        if is_before:
            found.append(at)
        if is_after:
            found.append(end)
    for at in reversed(found):
        content = f"{content[:at]} {content[at:]}"
    return content


def _follows_name(word: str, several: bool) -> bool:
    if several:  # no word is made of several and another
        return word in BEFORE_NAMES or word in AFTER_NAMES or word.endswith(("ed", "es", "ly"))
    return word in AFTER_NAMES


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
            text = texts[1]  # the content, if there is one; else the line tells more
            if reason not in ("junk", "too_short"):
                text = _beginning(block.lines[line - block.line])
            tally.drop(reason, block.part.name, line, text)
    return frame[good], [canonical[index] for index in good]


def _add_keys(frame: pl.DataFrame, canonical: list[bytes]) -> pl.DataFrame:
    """Add what de-duplication and splitting need to know of each record."""
    titles = frame["title"].to_list()
    normalised = list(map(normalise, titles))
    stems = map(_title_stem, titles, normalised)
    values = {
        "title_key": hash_texts(map(str.encode, map(_title_key, titles, normalised))),
        "stem_key": hash_texts(map(str.encode, stems)),
        "content_key": hash_texts(canonical),
        "opening_key": hash_texts(map(_opening_words, canonical)),
        "uid_key": hash_texts(map(str.encode, frame["uid"].to_list())),
        "characters": frame["content"].str.len_chars(),
        "title_characters": frame["title"].str.len_chars(),
    }
    series = [pl.Series(name, column, dtype=KEYS[name]) for name, column in values.items()]
    sketches = pl.Series("sketch", sketch_texts(canonical), dtype=pl.Array(pl.UInt32, SKETCH))
    return frame.with_columns([*series, sketches])


def _title_key(title: str, normalised: str) -> str:
    """Return a normalised title with the signs that tell products apart."""
    signs = _TELLING.findall(title)
    return f"{normalised} {' '.join(signs)}" if signs else normalised


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
