"""The page of a Space that cannot answer: what is missing and what its owner does about it."""

from __future__ import annotations

import re
from html import escape
from typing import cast

import gradio as gr

from space.engine import Engine
from space.errors import InputError, classify_load_error, hub_url
from space.page.api import add_endpoints
from space.page.html import cards
from space.page.lines import open_lines
from space.settings import Settings, SettingsError
from space.texts import LANGUAGES, words

TOKEN = re.compile(r"hf_\w{8,}")
WHERE = "<b>Settings → Variables and secrets</b>"  # on the Hub, in either language
OWN_WORDS = 'In the program’s own words <span lang="pt">· Nas palavras do programa</span>'
# For each kind of problem: what is missing, and what the Space's owner does about it.
PROBLEMS = {
    "gated": ("missing_gated", "remedy_gated"),
    "revision": ("missing_revision", "remedy_revision"),
    "absent": ("missing_absent", "remedy_absent"),
    "setting": ("missing_setting", "remedy_setting"),
    "other": ("missing_other", "remedy_other"),
}


class Missing:
    """An engine that refuses every question because of the same problem."""

    at_once = 1  # questions

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def answer(self, *_) -> dict:
        """Raise InputError."""
        raise InputError("cannot_answer", problem=self.problem)

    summarize = explain = search = info = answer


def build_missing(error: Exception, settings: Settings) -> gr.Blocks:
    """Build the page that explains an error, with endpoints that refuse."""
    engine = cast(Engine, Missing(one_line(error)))  # the endpoints of one, which all refuse
    with gr.Blocks(title=cards.NAME, analytics_enabled=False) as demo:
        page = cards.render_header() + render_missing(error, settings)
        gr.HTML(page, js_on_load=None, apply_default_css=False)
        add_endpoints(engine, settings)
    return open_lines(demo, settings.queue_size)


def one_line(error: Exception) -> str:
    """Write an error in one line, without any token of the Hub."""
    return TOKEN.sub("hf_…", " ".join(str(error).split()))


def render_missing(error: Exception, settings: Settings) -> str:
    """Render the problem and its remedy in each language, and the variables."""
    variables: dict[str, str | None] = {
        "BASE_MODEL": settings.base_model,
        "BASE_REVISION": settings.base_revision,
        "ADAPTER": settings.adapter,
        "ADAPTER_REVISION": settings.adapter_revision,
        "CATALOGUE": settings.catalogue,
        "CATALOGUE_REVISION": settings.catalogue_revision,
    }
    kind, guilty = "setting", ""
    if isinstance(error, SettingsError):
        variables = {}
    else:
        guilty = _find_variable(error, variables)
        kind = classify_load_error(error) if guilty else "other"
    articles = [_article(language, kind, guilty, variables) for language in LANGUAGES]
    rows = []
    for name, value in variables.items():
        shown = _code(value) if value else "–"
        rows.append(f'<tr><th scope="row">{_code(name)}</th><td>{shown}</td></tr>')
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    return (
        f'<section class="missing">{"".join(articles)}<div class="own"><h3>{OWN_WORDS}</h3>'
        f'<p lang="en">{_code(one_line(error))}</p></div>{table}</section>'
    )


def _find_variable(error: Exception, variables: dict[str, str | None]) -> str:
    """Find the variable whose value an error names, or else ""."""
    for name in ("BASE_MODEL", "ADAPTER", "CATALOGUE"):
        value = variables[name]
        if value and value in str(error):
            return name
    return ""


def _article(language: str, kind: str, guilty: str, variables: dict[str, str | None]) -> str:
    value = TOKEN.sub("hf_…", variables.get(guilty) or "")
    values = {
        "variable": _code(guilty) if guilty else words("missing_variables", language),
        "value": _code(value),
        "where": WHERE,
        "revision": _code(guilty.replace("_MODEL", "") + "_REVISION"),
        "url": hub_url(escape(value), dataset=guilty == "CATALOGUE"),
    }
    keys = PROBLEMS.get(kind, PROBLEMS["other"])
    problem, remedy = (words(key, language, **values) for key in keys)
    return (
        f'<article class="card" lang="{language}"><h2>{words("missing_title", language)}</h2>'
        f"<p>{problem}</p><h3>{words('missing_remedy', language)}</h3>"
        f"<p>{_link_urls(remedy)} {words('missing_restart', language)}</p></article>"
    )


def _code(text: str) -> str:
    return f"<code>{escape(TOKEN.sub('hf_…', text))}</code>"


def _link_urls(text: str) -> str:
    return re.sub(r"https://[^\s<]+[^\s<.]", r'<a href="\g<0>">\g<0></a>', text)
