"""The tab that tells how the adapter was made: its data, its recipe, the machine, and what it must not be used for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape

from space.evidence import Evidence
from space.evidence import as_count as whole
from space.evidence import as_number as number
from space.evidence import as_text as text
from space.evidence import nested as inside
from space.page.tabs.parts import markup
from space.settings import Settings
from space.texts import Html, decimal, html

SHORT = 160  # characters of a value
DROPS = {
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
LIMITS = re.compile(
    r"^#{1,6} [^\n]*\b(?:limits|limitations|limitações|limites)\b[^\n]*\n(.*?)(?=^#{1,6} |\Z)",
    re.I | re.M | re.S,
)
LICENCE = re.compile(r"\A---\n(?:(?!---\n).*\n)*?license: *([\w.\- ]{1,40})\n")
Terms = Iterator[tuple[str, Html]]  # (the key of what it is, HTML)


def made_tab(engine, info: dict, settings: Settings) -> None:
    markup(made(engine.evidence(), info))


def made(evidence: Evidence, info: Mapping) -> Html:
    """Returns how the adapter was made, as far as its own files say; without run.json they say that they do not know."""
    run = evidence.run
    known = bool(run.get("config") or run.get("data"))
    parts = [
        ("made_data", _data(run, evidence.report)),
        ("made_base", _base(run, info)),
        ("made_recipe", _recipe(run, evidence.lora)),
        ("made_run", _training(run)),
        ("made_software", _software(run)),
    ]
    groups = "".join(
        f"<section><h3>{html(title)}</h3><dl>{body}</dl></section>"
        for title, terms in parts
        if (body := "".join(f"<dt>{html(term)}</dt><dd>{said}</dd>" for term, said in terms))
    )
    unknown = "" if known else f'<p class="hint none">{html("made_unknown")}</p>'
    lead = f'<p class="gist">{_lead(run)}</p>' if known else ""
    return Html(
        f'<section class="made"><h2>{html("made_title")}</h2>{unknown}{lead}<div class="groups">{groups}</div>'
        f"{_limits(evidence.card)}</section>"
    )


def _lead(run: Mapping) -> Html:
    """Returns the journey in a sentence, where all its numbers are there."""
    steps, seconds, kept = (
        whole(run.get("steps")),
        number(run.get("seconds")),
        whole(inside(run, "data", "kept")),
    )
    if None in (steps, seconds, kept):
        return Html("")
    return html(
        "made_lead",
        kept=kept,
        source=_short(inside(run, "data", "source", "name")) or "?",
        base=_short(inside(run, "base", "name")) or "?",
        steps=steps,
        time=duration(seconds),
    )


def _data(run: Mapping, report: Mapping) -> Terms:
    data = inside(run, "data") or {}
    if name := _short(inside(data, "source", "name")):
        yield "made_source", Html(f"<b>{name}</b>{_digest(inside(data, 'source', 'sha256'))}")
    read, kept = whole(inside(data, "read")), whole(inside(data, "kept"))
    if read is not None and kept is not None:
        yield "made_records", html("made_kept", read=read, kept=kept)
    # The catalogue that is served need not be the one that was learned.
    same = (
        inside(report, "source", "sha256") == inside(data, "source", "sha256")
        and inside(report, "kept") == kept
    )
    if same and (gone := _dropped(inside(report, "dropped"))):
        yield "made_dropped", gone
    train, unseen = (whole(inside(data, "splits", side)) for side in ("train", "unseen"))
    if train is not None and unseen is not None:
        yield "made_split", html("made_sides", train=train, unseen=unseen)
    if (learned := whole(inside(run, "config", "learn")) or train) is not None:
        yield "made_learned", html("made_learned_is", count=learned)
    if told := text(inside(run, "summaries", "from"), SHORT):
        own = "principal sentences" in told
        yield "made_summaries", html("made_summaries_own") if own else Html(escape(told))
    if licence := _short(inside(run, "summaries", "licence")):
        yield "made_summaries_licence", licence


def _dropped(dropped) -> Html | None:
    counts = (
        {reason: whole(count) for reason, count in dropped.items()}
        if isinstance(dropped, Mapping)
        else {}
    )
    lines = "".join(
        f"<li>{html('made_gone', count=count, reason=_reason(reason))}</li>"
        for reason, count in list(counts.items())[:20]
        if count
    )
    return Html(f"<ul>{lines}</ul>") if lines else None


def _reason(reason: str) -> Html:
    return html(DROPS[reason]) if reason in DROPS else _short(reason)


def _base(run: Mapping, info: Mapping) -> Terms:
    name, revision = (
        inside(run, "base", "name") or info["base"],
        inside(run, "base", "revision") or info["base_revision"],
    )
    yield "made_base_is", Html(f"<b>{_short(name)}</b>{_digest(revision)}")
    if precision := text(inside(run, "config", "precision"), SHORT):
        yield "made_precision", html("made_precision_is", precision=precision.upper())
    yield "made_served", html("made_precision_is", precision=info["precision"].upper())


def _recipe(run: Mapping, lora: Mapping) -> Terms:
    config = inside(run, "config") or {}
    rank = whole(inside(config, "rank") or inside(lora, "r"))
    alpha = number(inside(config, "alpha") or inside(lora, "lora_alpha"))
    if rank is not None and alpha is not None:
        yield "made_lora", html("made_lora_is", rank=rank, alpha=decimal(f"{alpha:g}"))
    if inside(config, "rank_stabilized") is True or inside(lora, "use_rslora") is True:
        yield "made_scale", html("made_scale_is")
    if inside(config, "init") == "eva":
        yield "made_init", html("made_init_is")
    if (count := whole(run.get("adapter_parameters"))) is not None:
        yield "made_parameters", html("number", number=count)
    if (rate := number(inside(config, "learning_rate"))) is not None:
        yield "made_rate", html("number", number=decimal(f"{rate:g}"))
    batch, passes = whole(inside(config, "batch_size")), whole(inside(config, "accumulate")) or 1
    if batch is not None:
        yield "made_batch", html("made_batch_is", count=batch * passes)
    if (epochs := whole(inside(config, "epochs"))) is not None:
        yield "made_epochs", html("number", number=epochs)
    if (mix := _mix(config)) is not None:
        yield "made_mix", mix
    if (seed := whole(run.get("seed"))) is not None:
        yield "made_seed", Html(str(seed))


def _mix(config: Mapping) -> Html | None:
    """Returns how many questions of each task an epoch asks for every hundred records that are learned."""
    shares = {
        task: number(inside(config, task))
        for task in ("answers", "absent", "follow_ups", "summarize")
    }
    if None in shares.values():
        return None
    lines = "".join(
        f"<li>{html(key, count=round(100 * shares[task]))}</li>"
        for task, key in (
            ("answers", "mix_answers"),
            ("absent", "mix_absent"),
            ("follow_ups", "mix_follow_ups"),
            ("summarize", "mix_summarize"),
        )
    )
    return Html(f"{html('mix_lead')}<ul><li>{html('mix_describe')}</li>{lines}</ul>")


def _training(run: Mapping) -> Terms:
    if hardware := _short(run.get("hardware")):
        yield "made_hardware", hardware
    if (seconds := number(run.get("seconds"))) is not None:
        yield "made_time", html("number", number=duration(seconds))
    if (memory := number(run.get("memory"))) is not None:
        yield "made_memory", html("number", number=decimal(f"{memory / 2**30:.1f} GiB"))
    if (steps := whole(run.get("steps"))) is not None:
        yield "made_steps", html("number", number=steps)
    tokens, examples = whole(run.get("tokens")), whole(run.get("examples"))
    if tokens is not None and examples is not None:
        yield "made_tokens", html("made_tokens_are", tokens=tokens, examples=examples)
    if left := whole(run.get("left_out")):
        yield "made_too_long", html("made_too_long_are", count=left)


def _software(run: Mapping) -> Terms:
    if version := _short(run.get("version")):
        yield "made_version", Html(f"Shelftalk {version}")
    if python := _short(run.get("python")):
        yield "made_python", python
    libraries = inside(run, "libraries")
    if isinstance(libraries, Mapping) and libraries:
        yield (
            "made_libraries",
            Html(
                ", ".join(
                    f"{_short(name)}&nbsp;{_short(version)}"
                    for name, version in list(libraries.items())[:30]
                )
            ),
        )


def _limits(card: str) -> str:
    """Returns what it must not be used for, the licence that the card names, and the card's own words, where there are any."""
    licence = LICENCE.search(card[:20_000])
    named = f"<dt>{html('made_licence')}</dt><dd>{_short(licence[1])}</dd>" if licence else ""
    own = LIMITS.search(card)
    words = text(" ".join(own[1].split()), 2_000) if own else ""
    quoted = (
        f'<details><summary>{html("limits_card")}</summary><p dir="auto">{escape(words)}</p></details>'
        if words
        else ""
    )
    lines = "".join(
        f"<li>{html(key)}</li>"
        for key in ("limit_facts", "limit_old", "limit_scores", "limit_base", "limit_people")
    )
    return (
        f'<section class="limits"><h3>{html("made_limits")}</h3><ul>{lines}</ul>{quoted}'
        f"<dl>{named}<dt>{html('made_terms')}</dt><dd>{html('made_terms_are')}</dd></dl></section>"
    )


def duration(seconds: float) -> str:
    """Returns seconds as a person says them, in words of both languages: 1 h 05 min, 2 min 06 s, 41 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _digest(value) -> str:
    """Returns the beginning of a commit or digest, the whole of it on demand."""
    full = text(value, SHORT).removeprefix("sha256:")
    return f' <code title="{escape(full)}">{escape(full[:10])}</code>' if full else ""


def _short(value) -> Html:
    return Html(escape(text(value, SHORT)))
