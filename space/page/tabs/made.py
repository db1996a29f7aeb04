"""The tab How it was made: the adapter's data, recipe, training and limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape

from space.engine import Engine, Info
from space.evidence import Evidence, as_count, as_number, as_text, nested
from space.page.tabs.parts import markup
from space.settings import Settings
from space.texts import Html, decimal, html

SHORT = 160  # characters of a value
DROP_REASONS = {
    "blank": "drop_blank",
    "broken": "drop_broken",
    "oversized": "drop_oversized",
    "no_title": "drop_no_title",
    "no_content": "drop_no_content",
    "junk": "drop_junk",
    "too_short": "drop_too_short",
    "duplicate_title": "drop_duplicate_title",
    "boilerplate": "drop_boilerplate",
    "duplicate_content": "drop_duplicate_content",
    "not_sampled": "drop_not_sampled",
}
# Shares of an epoch's questions for each task.
MIX = {
    "answers": "mix_answers",
    "absent": "mix_absent",
    "asked": "mix_asked",
    "unstated": "mix_unstated",
    "follow_ups": "mix_follow_ups",
    "summarize": "mix_summarize",
}
HEADING = re.compile(r"#{1,6} ")
LIMITS = re.compile(r"\b(?:limits|limitations|limitações|limites)\b", re.I)
LICENCE = re.compile(r"\A---\n(?:(?!---\n).*\n)*?license: *([\w.\- ]{1,40})\n")
Terms = Iterator[tuple[str, Html]]  # (the key of a term, what it is)


def made_tab(engine: Engine, info: Info, settings: Settings) -> None:
    """Build the tab."""
    markup(render_made(engine.evidence(), info))


def render_made(evidence: Evidence, info: Info) -> Html:
    """Render how the adapter was made, as far as its files tell."""
    run = evidence.run
    groups = []
    for title, terms in (
        ("made_data", _data(run, evidence.report)),
        ("made_base", _base(run, info)),
        ("made_recipe", _recipe(run, evidence.lora)),
        ("made_run", _training(run)),
        ("made_software", _software(run)),
    ):
        body = "".join(f"<dt>{html(term)}</dt><dd>{text}</dd>" for term, text in terms)
        if body:
            groups.append(f"<section><h3>{html(title)}</h3><dl>{body}</dl></section>")
    lead = f'<p class="hint none">{html("made_unknown")}</p>'
    if run.get("config") or run.get("data"):
        lead = f'<p class="gist">{_lead(run)}</p>'
    return Html(
        f'<section class="made"><h2>{html("made_title")}</h2>{lead}'
        f'<div class="groups">{"".join(groups)}</div>{_limits(evidence.card)}</section>'
    )


def _lead(run: Mapping) -> Html:
    """Tell it in a sentence, if all its numbers are known."""
    steps, seconds = as_count(run.get("steps")), as_number(run.get("seconds"))
    kept = as_count(nested(run, "data", "kept"))
    if steps is None or seconds is None or kept is None:
        return Html("")
    return html(
        "made_lead",
        kept=kept,
        source=_short(nested(run, "data", "source", "name")) or "?",
        base=_short(nested(run, "base", "name")) or "?",
        steps=steps,
        time=duration(seconds),
    )


def _data(run: Mapping, report: Mapping) -> Terms:
    data = nested(run, "data") or {}
    if name := _short(nested(data, "source", "name")):
        yield "made_source", Html(f"<b>{name}</b>{_digest(nested(data, 'source', 'sha256'))}")
    read, kept = as_count(nested(data, "read")), as_count(nested(data, "kept"))
    if read is not None and kept is not None:
        yield "made_records", html("made_kept", read=read, kept=kept)
    # The catalogue that is served may be another one than the adapter learned.
    source = nested(data, "source", "sha256")
    same = nested(report, "source", "sha256") == source and nested(report, "kept") == kept
    if same and (dropped := _dropped(nested(report, "dropped"))):
        yield "made_dropped", dropped
    train, unseen = (as_count(nested(data, "splits", side)) for side in ("train", "unseen"))
    if train is not None and unseen is not None:
        yield "made_split", html("made_sides", train=train, unseen=unseen)
    if (learned := as_count(nested(run, "config", "learn")) or train) is not None:
        yield "made_learned", html("made_learned_is", count=learned)
    if origin := as_text(nested(run, "summaries", "from"), SHORT):
        own = "principal sentences" in origin
        yield "made_summaries", html("made_summaries_own") if own else Html(escape(origin))
    if licence := _short(nested(run, "summaries", "licence")):
        yield "made_summaries_licence", licence


def _dropped(dropped) -> Html | None:
    if not isinstance(dropped, Mapping):
        return None
    lines = []
    for reason, value in list(dropped.items())[:20]:
        if count := as_count(value):
            name = html(DROP_REASONS[reason]) if reason in DROP_REASONS else _short(reason)
            lines.append(f"<li>{html('made_gone', count=count, reason=name)}</li>")
    return Html(f"<ul>{''.join(lines)}</ul>") if lines else None


def _base(run: Mapping, info: Info) -> Terms:
    name = _short(nested(run, "base", "name") or info["base"])
    revision = _digest(nested(run, "base", "revision") or info["base_revision"])
    yield "made_base_is", Html(f"<b>{name}</b>{revision}")
    if precision := as_text(nested(run, "config", "precision"), SHORT):
        yield "made_precision", html("made_precision_is", precision=precision.upper())
    yield "made_served", html("made_precision_is", precision=info["precision"].upper())


def _recipe(run: Mapping, lora: Mapping) -> Terms:
    config = nested(run, "config") or {}
    rank = as_count(nested(config, "rank") or nested(lora, "r"))
    alpha = as_number(nested(config, "alpha") or nested(lora, "lora_alpha"))
    if rank is not None and alpha is not None:
        yield "made_lora", html("made_lora_is", rank=rank, alpha=decimal(f"{alpha:g}"))
    if nested(config, "rank_stabilized") is True or nested(lora, "use_rslora") is True:
        yield "made_scale", html("made_scale_is")
    if nested(config, "init") == "eva":
        yield "made_init", html("made_init_is")
    if (count := as_count(run.get("adapter_parameters"))) is not None:
        yield "made_parameters", html("number", number=count)
    if (rate := as_number(nested(config, "learning_rate"))) is not None:
        yield "made_rate", html("number", number=decimal(f"{rate:g}"))
    if (batch := as_count(nested(config, "batch_size"))) is not None:
        steps = as_count(nested(config, "accumulate")) or 1
        yield "made_batch", html("made_batch_is", count=batch * steps)
    if (epochs := as_count(nested(config, "epochs"))) is not None:
        yield "made_epochs", html("number", number=epochs)
    if (mix := _mix(config)) is not None:
        yield "made_mix", mix
    if (seed := as_count(run.get("seed"))) is not None:
        yield "made_seed", Html(str(seed))


def _mix(config: Mapping) -> Html | None:
    """Count an epoch's questions of each task per 100 records."""
    lines = f"<li>{html('mix_describe')}</li>"
    for task, key in MIX.items():
        share = as_number(nested(config, task))
        if share is None:
            return None
        lines += f"<li>{html(key, count=round(100 * share))}</li>"
    return Html(f"{html('mix_lead')}<ul>{lines}</ul>")


def _training(run: Mapping) -> Terms:
    if hardware := _short(run.get("hardware")):
        yield "made_hardware", hardware
    if (seconds := as_number(run.get("seconds"))) is not None:
        yield "made_time", html("number", number=duration(seconds))
    if (memory := as_number(run.get("memory"))) is not None:
        yield "made_memory", html("number", number=decimal(f"{memory / 2**30:.1f} GiB"))
    if (steps := as_count(run.get("steps"))) is not None:
        yield "made_steps", html("number", number=steps)
    tokens, examples = as_count(run.get("tokens")), as_count(run.get("examples"))
    if tokens is not None and examples is not None:
        yield "made_tokens", html("made_tokens_are", tokens=tokens, examples=examples)
    if left_out := as_count(run.get("left_out")):
        yield "made_too_long", html("made_too_long_are", count=left_out)


def _software(run: Mapping) -> Terms:
    if version := _short(run.get("version")):
        yield "made_version", Html(f"Shelftalk {version}")
    if python := _short(run.get("python")):
        yield "made_python", python
    libraries = nested(run, "libraries")
    if isinstance(libraries, Mapping) and libraries:
        versions = list(libraries.items())[:30]
        shown = ", ".join(f"{_short(name)}&nbsp;{_short(version)}" for name, version in versions)
        yield "made_libraries", Html(shown)


def _limits(card: str) -> str:
    """Render the adapter's limits, with its card's own words and licence."""
    keys = ("limit_facts", "limit_old", "limit_scores", "limit_base", "limit_people")
    lines = "".join(f"<li>{html(key)}</li>" for key in keys)
    quote = licence = ""
    if own := find_limits(card):
        summary = f"<summary>{html('limits_card')}</summary>"
        quote = f'<details>{summary}<p dir="auto">{escape(own)}</p></details>'
    if named := LICENCE.search(card[:20_000]):
        licence = f"<dt>{html('made_licence')}</dt><dd>{_short(named[1])}</dd>"
    return (
        f'<section class="limits"><h3>{html("made_limits")}</h3><ul>{lines}</ul>{quote}'
        f"<dl>{licence}<dt>{html('made_terms')}</dt><dd>{html('made_terms_are')}</dd></dl></section>"
    )


def find_limits(card: str) -> str:
    """Find what a card says of its limits, at most 2,000 characters."""
    found: list[str] | None = None
    for line in card.splitlines():
        if HEADING.match(line):
            if found is not None:
                break
            if LIMITS.search(line[:1_000]):
                found = []
        elif found is not None and sum(map(len, found)) < 2_000:
            found += line[:2_001].split()
    return as_text(" ".join(found or ()), 2_000)


def duration(seconds: float) -> str:
    """Write seconds for a person, such as 2 min 06 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _digest(value) -> str:
    """Render the beginning of a commit or digest."""
    digest = as_text(value, SHORT).removeprefix("sha256:")
    return f' <code title="{escape(digest)}">{escape(digest[:10])}</code>' if digest else ""


def _short(value) -> Html:
    return Html(escape(as_text(value, SHORT)))
