"""Say in the page's head what a shared link shows, in place of gradio's own words."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any
from urllib.parse import parse_qs

from space.page.html.cards import NAME
from space.texts import LANGUAGES, words

GRADIO_TAGS = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')
TITLE_LIMIT = 120  # characters
Message = MutableMapping[str, Any]  # of ASGI, as the next three are
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class ShareTags:
    """Middleware that writes the tags by which others' pages show a link to this one."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["method"] == "GET"
        if not is_page or scope["path"].rstrip("/"):
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def rewrite(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            headers = dict(start["headers"])
            if headers.get(b"content-type", b"").startswith(b"text/html"):
                tags = render_tags(scope["query_string"].decode("latin-1"))
                head = b"<head>" + tags.encode()
                body = GRADIO_TAGS.sub(b"", body).replace(b"<head>", head, 1)
                others = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                start["headers"] = [*others, (b"content-length", b"%d" % len(body))]
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, rewrite)


def render_tags(query: str) -> str:
    """Render title and description of a link with this query string."""
    asked = parse_qs(query, errors="replace")
    question = " ".join(asked.get("q", [""])[0].split())[:TITLE_LIMIT]
    wanted = asked.get("lang", ["en"])[0][:2]
    language = wanted if wanted in LANGUAGES else "en"
    title = escape(f"{NAME}: {question}" if question else NAME)
    description = escape(words("lead", language))
    return (
        f"<title>{title}</title>"
        f'<meta property="og:type" content="website"><meta property="og:title" content="{title}">'
        f'<meta property="og:site_name" content="{NAME}">'
        f'<meta property="og:description" content="{description}">'
        f'<meta name="description" content="{description}">'
        '<meta name="twitter:card" content="summary">'
    )
