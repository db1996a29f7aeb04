"""The text of HTML in one of its two languages."""

from __future__ import annotations

from html.parser import HTMLParser


class _Reader(HTMLParser):
    def __init__(self, other: str) -> None:
        super().__init__()
        self.other, self.open, self.text = other, [], ""

    def handle_starttag(self, tag, attributes):
        if tag not in ("br", "input", "img"):
            self.open.append(dict(attributes).get("class") == self.other)

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        if not any(self.open):
            self.text += data


def visible_text(html: str, language: str = "en") -> str:
    """Extract the text of HTML that page.css shows in one language."""
    reader = _Reader("pt" if language == "en" else "en")
    reader.feed(html)
    return reader.text
