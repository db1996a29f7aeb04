"""Render what fine-tuning changed in an answer, token by token."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from space.evidence import check_facts
from space.model import ExplainedToken
from space.texts import Html, decimal, html

SAME = math.log(1.5)  # nats; below it a token counts as about as likely as before
FULL = math.log(1000)  # nats; from it on a tint is as strong as it gets
PART = "\ufffd"  # a token that is a part of a character


def render_waiting() -> str:
    """Render the section while the models read."""
    place = html("queued", place=Html('<b class="place"></b>'))
    return (
        '<section class="changed" aria-busy="true">'
        f'<p class="hint" role="status">{html("changed_waiting")} '
        f'<span class="queued" hidden>{place}</span></p></section>'
    )


def render_changes(
    tokens: Sequence[ExplainedToken],
    name: str,
    question: str = "",
    records: Sequence[Mapping[str, object]] = (),
) -> str:
    """Render the section that shows an explained answer.

    Each token is a radio button of the group `name`, so one key press reaches the tokens and the
    arrows go from one to the next. page.css shows the details of the chosen one, without a script.
    The facts are those that check_facts() finds beside `records`.
    """
    facts = find_fact_tokens(tokens, records)
    most = _most_changed([(index, tokens[index]) for index in facts or range(len(tokens))])
    about = f'<p class="about" dir="auto">{escape(question)}</p>' if question else ""
    text = "".join(_token(token, name, index == most) for index, token in enumerate(tokens))
    return (
        f'<section class="changed" aria-busy="false"><h2>{html("changed_title")}</h2>{about}'
        f'<p class="gist" role="status">{describe_changes(tokens, facts)}</p>'
        '<div class="reading"><fieldset class="tokens" dir="auto">'
        f"<legend>{html('changed_choose')}</legend>{text}</fieldset>{_key()}</div></section>"
    )


def find_fact_tokens(
    tokens: Sequence[ExplainedToken], records: Sequence[Mapping[str, object]]
) -> list[int]:
    """Find the tokens that write an answer's facts, by their indices."""
    texts = [token["token"] for token in tokens]
    found = check_facts("".join(texts), records).facts
    indices, end = [], 0
    for index, text in enumerate(texts):
        start = end + len(text) - len(text.lstrip())
        end += len(text)
        if any(start < fact.end and fact.start < end for fact in found):
            indices.append(index)
    return indices


def describe_changes(tokens: Sequence[ExplainedToken], facts: Sequence[int] = ()) -> Html:
    """Say what the picture shows.

    First of the tokens that write facts, then of the others; in one sentence where all or none
    write any.
    """
    others = [token for index, token in enumerate(tokens) if index not in set(facts)]
    if not facts or not others:
        return _describe(tokens)
    first, then = _describe([tokens[index] for index in facts]), _describe(others)
    return Html(
        f"<b>{html('changed_facts')}</b> {first} "
        f'<span class="form"><b>{html("changed_form")}</b> {then}</span>'
    )


def _describe(tokens: Sequence[ExplainedToken]) -> Html:
    up = sum(_change(token) > SAME for token in tokens)
    down = sum(_change(token) < -SAME for token in tokens)
    if not up and not down:
        key = "changed_nothing" if len(tokens) > 1 else "changed_nothing_of_one"
        return html(key, count=len(tokens))
    key = "changed_both"
    if not down:
        key = "changed_up"
    elif not up:
        key = "changed_down"
    token = tokens[_most_changed(list(enumerate(tokens)))]
    return html(
        key,
        up=up,
        down=down,
        count=len(tokens),
        token=Html(f"<b><bdi>{name_token(token['token'])}</bdi></b>"),
        before=format_chance(token["base_logprob"]),
        after=format_chance(token["tuned_logprob"]),
    )


def format_chance(logprob: float) -> Html:
    """Write the probability of a logprob (nats) in percent."""
    percent = 100 * math.exp(logprob)
    if percent >= 99.95:
        return html("over", percent=decimal("99.9%"))
    if round(percent, 6) < 0.001:
        return html("under", percent=decimal("0.001%"))
    if percent >= 99.5:
        digits = ".1f"
    elif percent >= 9.95:
        digits = ".0f"
    elif percent >= 0.1:
        digits = ".2g"
    else:
        digits = ".1g"
    return html("number", number=decimal(f"{percent:{digits}}%"))


def format_times(change: float) -> Html:
    """Say how many times likelier a logprob's change (nats) makes a token."""
    if abs(change) <= SAME:
        return html("as_before")
    factor = math.exp(min(abs(change), 20))
    if factor >= 1e6:
        return html("million_likelier" if change > 0 else "million_less")
    count = decimal(f"{factor:.1f}") if factor < 9.95 else int(float(f"{factor:.2g}"))
    return html("times_likelier" if change > 0 else "times_less", count=count)


def _change(token: ExplainedToken) -> float:
    """Return by how many nats fine-tuning raised a token's logprob."""
    return token["tuned_logprob"] - token["base_logprob"]


def _most_changed(tokens: Sequence[tuple[int, ExplainedToken]]) -> int:
    """Return the index of the token that changed most.

    A token that became likelier goes before others, then the strongest tint, then the largest
    change of the probability.
    """

    def rank(numbered: tuple[int, ExplainedToken]) -> tuple[bool, float, float]:
        token = numbered[1]
        change = _change(token)
        moved = math.exp(token["tuned_logprob"]) - math.exp(token["base_logprob"])
        return change > SAME, min(abs(change), FULL), abs(moved)

    return max(tokens, key=rank)[0]


def _tint(change: float) -> str:
    """Write the class and style of a token by its change (nats)."""
    if abs(change) <= SAME:
        return 'class="token"'
    direction = "up" if change > 0 else "down"
    return f'class="token {direction}" style="--by:{min(abs(change) / FULL, 1):.2f}"'


def _token(token: ExplainedToken, name: str, chosen: bool) -> str:
    change = _change(token)
    text = name_token(token["token"])
    before, after = format_chance(token["base_logprob"]), format_chance(token["tuned_logprob"])
    others, bars = [], []
    for other in token["alternatives"]:
        word, likely = name_token(other["token"]), format_chance(other["logprob"])
        others.append(f"{word} {likely}")
        kind = "chosen" if other["token"] == token["token"] else ""
        bars.append(_bar(f"<bdi>{word}</bdi>", likely, math.exp(other["logprob"]), kind))
    spoken = html(
        "token_spoken",
        token=text,
        before=before,
        after=after,
        times=format_times(change),
        others=Html(", ".join(others)),
    )
    shown = escape(token["token"]).replace("\n", '<i class="break">↵</i>\n')
    return (
        f'<label {_tint(change)}><input type="radio" name="{name}"{" checked" if chosen else ""}>'
        f'<span class="spoken">{spoken}</span><span aria-hidden="true">{shown}</span>'
        f'<span class="detail" aria-hidden="true"><span class="what"><bdi>{text}</bdi>'
        f"<small>{format_times(change)}</small></span>"
        f"{_bar(html('before'), before, math.exp(token['base_logprob']), 'before')}"
        f"{_bar(html('after'), after, math.exp(token['tuned_logprob']), 'after')}"
        f'<span class="rather">{html("rather")}</span>{"".join(bars)}</span></label>'
    )


def _bar(word: str, likely: str, share: float, kind: str) -> str:
    return (
        f'<span class="bar {kind}" style="--share:{share:.3f}">'
        f"<span>{word}</span><i></i><span>{likely}</span></span>"
    )


def name_token(token: str) -> Html:
    """Return a token's text, or a name if it is invisible."""
    text = token.strip()
    if text:
        return html("token_part") if text == PART else Html(escape(text))
    if not token:
        return html("token_end")
    return html("token_break" if "\n" in token else "token_blank")


def _key() -> str:
    steps = [
        (-FULL, "÷1000"),
        (-FULL / 3, "÷10"),
        (0, html("key_same")),
        (FULL / 3, "×10"),
        (FULL, "×1000"),
    ]
    samples = "".join(f"<span {_tint(change)}>{label}</span>" for change, label in steps)
    return (
        f'<div class="key"><p class="scale"><span>{html("key_less")}</span>{samples}'
        f'<span>{html("key_more")}</span></p><p class="hint">{html("key")}</p></div>'
    )
