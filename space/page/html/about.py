"""Say in a line what answers here and what it learned, as HTML."""

from __future__ import annotations

import re
from html import escape

from space.engine import Info
from space.evidence import Evidence, as_count, nested
from space.texts import Html, decimal, html

# "135M" in SmolLM2-135M-Instruct; not "8x7B", which counts its parameters otherwise.
SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([MB])(?![A-Za-z0-9])")
UNITS = {"M": "about_million", "B": "about_billion"}


def render_about(info: Info, evidence: Evidence, invented: bool) -> str:
    """Render the header's line, of what the adapter's files tell.

    `invented` says that the catalogue is the embedded sample.
    """
    base = escape(info["base"].removesuffix(".gguf"))
    size = SIZE.search(info["base"])
    said = [html("about_base", base=Html(base))]
    if size:
        count = html(UNITS[size[2]], count=decimal(size[1]))
        said = [html("about_base_size", base=Html(base), count=count)]
    kept = as_count(evidence.report.get("kept"))
    if invented and kept:
        said.append(html("about_shop", count=kept))
    elif kept:
        said.append(html("about_catalogue", count=kept))
    learned = as_count(nested(evidence.run, "config", "learn"))
    if learned is None:
        learned = as_count(nested(evidence.run, "data", "splits", "train"))
    source = nested(evidence.run, "data", "source", "sha256")
    same = source is not None and nested(evidence.report, "source", "sha256") == source
    if learned and kept and same and learned <= kept:
        said.append(html("about_learned", learned=learned))
    return f'<p class="about">{" ".join(said)}</p>'
