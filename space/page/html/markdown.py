"""Render the Markdown of an answer as HTML that loads nothing and runs nothing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

Kind = Literal["paragraph", "heading", "bullets", "numbers", "code"]
Range = tuple[int, int]

FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
HEADING = re.compile(r"\s{0,3}#{1,6}\s+(.*?)\s*#*\s*$")
BULLET = re.compile(r"\s*[-*\u2022]\s+(?=\S)")
NUMBER = re.compile(r"\s*(\d{1,3})[.)]\s+(?=\S)")
RULE = re.compile(r"\s*(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$")
# Within one line. Each is bounded, so that no answer takes long. A link becomes its text and its
# address, an image its description and its address.
INLINE = re.compile(
    r"(?P<code>`{1,2})(?P<literal>[^`]{1,300})(?P=code)"
    r"|(?P<bold>\*\*|__)(?=\S)(?P<strong>.{1,300}?)(?<=\S)(?P=bold)"
    r"|(?<!\w)(?P<slant>[*_])(?=[^\s*_])(?P<emphasis>[^*_]{1,300}?)(?<=\S)(?P=slant)(?!\w)"
    r"|!?\[(?P<label>[^\[\]]{1,300})\]\(<?(?P<address>(?:https?:|www\.|mailto:)[^\s()]{1,300})>?\)"
    r"|\\(?P<escaped>[\\`*_\[\]#])"
)


@dataclass(frozen=True)
class Block:
    """A paragraph, a heading, a list or code: the ranges of its lines in the text."""

    kind: Kind
    lines: list[Range]
    numbers: list[int] = field(default_factory=list)  # of a numbered list's lines


@dataclass(frozen=True)
class Document:
    """A text without its Markdown, and what the Markdown said of it."""

    text: str
    blocks: list[Block]
    styles: list[tuple[int, int, str]]  # start, end and the element: strong, em or code

    @property
    def is_plain(self) -> bool:
        """Whether the text is one paragraph without any style."""
        return not self.styles and [block.kind for block in self.blocks] == ["paragraph"]


@dataclass(frozen=True)
class Mark:
    """HTML around a range of the text, or in its place."""

    start: int
    end: int
    opening: str
    closing: str = ""
    replaces: bool = False


class _Reader:
    """The text so far, with its styles."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.length = 0
        self.styles: list[tuple[int, int, str]] = []
        self.blocks: list[Block] = []

    def write(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def write_styled(self, text: str, tag: str, inline: bool) -> None:
        start = self.length
        if inline:
            self.write_inline(text)
        else:
            self.write(text)
        self.styles.append((start, self.length, tag))

    def write_inline(self, line: str) -> None:
        end = 0
        for found in INLINE.finditer(line):
            self.write(line[end : found.start()])
            end = found.end()
            if found["code"]:
                self.write_styled(found["literal"], "code", inline=False)
            elif found["bold"]:
                self.write_styled(found["strong"], "strong", inline=True)
            elif found["slant"]:
                self.write_styled(found["emphasis"], "em", inline=True)
            elif found["label"]:
                self.write_inline(found["label"])
                self.write(f" ({found['address']})")
            else:
                self.write(found["escaped"])
        self.write(line[end:])

    def add_line(self, kind: Kind, line: str, new: bool, number: int | None = None) -> None:
        """Add a line to the last block or a new one."""
        if self.length:
            self.write("\n")
        start = self.length
        if kind == "code":
            self.write(line)
        else:
            self.write_inline(line)
        if new or not self.blocks or self.blocks[-1].kind != kind:
            self.blocks.append(Block(kind, []))
        self.blocks[-1].lines.append((start, self.length))
        if number is not None:
            self.blocks[-1].numbers.append(number)


def read_markdown(text: str) -> Document:
    """Read paragraphs, headings, lists, code, bold and emphasis.

    HTML stays text. What is no Markdown of these kinds stays as it is.
    """
    reader, in_code, new = _Reader(), False, True
    for line in text.split("\n"):
        if FENCE.match(line):
            in_code, new = not in_code, True
        elif in_code:
            reader.add_line("code", line, new)
            new = False
        elif not line.strip() or RULE.match(line):
            # A blank line between two items does not end their list.
            in_list = bool(reader.blocks) and reader.blocks[-1].kind in ("bullets", "numbers")
            new = not in_list
        elif found := HEADING.match(line):
            reader.add_line("heading", found[1], new=True)
            new = True
        elif found := BULLET.match(line):
            reader.add_line("bullets", line[found.end() :], new)
            new = False
        elif found := NUMBER.match(line):
            reader.add_line("numbers", line[found.end() :], new, int(found[1]))
            new = False
        else:
            reader.add_line("paragraph", line, new)
            new = False
    return Document("".join(reader.parts), reader.blocks, reader.styles)


def render_markdown(document: Document, marks: Sequence[Mark] = ()) -> str:
    """Render a document with `marks`, which must not overlap, in its text.

    A mark ends where its line or block does.
    """
    ordered = sorted(marks, key=lambda mark: (mark.start, mark.end))
    shown = []
    for block in document.blocks:
        if block.kind in ("paragraph", "code"):
            lines = [(block.lines[0][0], block.lines[-1][1])]
        else:
            lines = block.lines
        rendered = []
        for start, end in lines:
            inner = [mark for mark in ordered if start <= mark.start < end]
            rendered.append(_render_range(document, start, end, inner))
        shown.append(_render_block(block, rendered))
    return "".join(shown)


def _render_block(block: Block, lines: list[str]) -> str:
    if block.kind == "bullets":
        items = [f"<li>{line}</li>" for line in lines]
        return f"<ul>{''.join(items)}</ul>"
    if block.kind == "numbers":
        items = []
        for number, line in zip(block.numbers, lines, strict=True):
            items.append(f'<li value="{number}">{line}</li>')
        return f"<ol>{''.join(items)}</ol>"
    if block.kind == "code":
        return f"<pre><code>{lines[0]}</code></pre>"
    text = f"<strong>{lines[0]}</strong>" if block.kind == "heading" else lines[0]
    return f"<p>{text}</p>"


def _render_range(document: Document, start: int, end: int, marks: Sequence[Mark]) -> str:
    parts, position = [], start
    for mark in marks:
        if mark.start < position:  # inside the one before
            continue
        stop = min(mark.end, end)
        parts.append(_render_styled(document, position, mark.start))
        inner = "" if mark.replaces else _render_styled(document, mark.start, stop)
        parts.append(f"{mark.opening}{inner}{mark.closing}")
        position = stop
    parts.append(_render_styled(document, position, end))
    return "".join(parts)


def _render_styled(document: Document, start: int, end: int) -> str:
    """Render a range, each piece with its styles' elements."""
    if start >= end:
        return ""
    styles = [style for style in document.styles if style[0] < end and style[1] > start]
    edges = {start, end}
    for style in styles:
        edges.update((max(style[0], start), min(style[1], end)))
    points = sorted(edges)
    parts = []
    for left, right in itertools.pairwise(points):
        piece = escape(document.text[left:right])
        for first, last, tag in styles:
            if first <= left and right <= last:
                piece = f"<{tag}>{piece}</{tag}>"
        parts.append(piece)
    return "".join(parts)
