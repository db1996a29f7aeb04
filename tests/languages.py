"""What a visitor reads of HTML that is there in both languages."""

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


def said(html: str, language: str = "en") -> str:
    """Returns the text of HTML as page.css shows it in one language."""
    reader = _Reader("pt" if language == "en" else "en")
    reader.feed(html)
    return reader.text
