"""What fine-tuning changed, as HTML: the tuned answer's tokens tinted, a sentence that says what they show, and a key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from space.texts import Html, decimal, html

SAME = math.log(1.5)  # nats; below it a token counts as about as likely as before
FULL = math.log(1000)  # nats; from it on a tint is as strong as it gets
HALF = "\ufffd"  # a token that is a part of a character


def waiting() -> str:
    """Returns the section while the models read."""
    place = html("queued", place=Html('<b class="place"></b>'))
    return (
        f'<section class="changed" aria-busy="true"><p class="hint" role="status">{html("changed_waiting")} '
        f'<span class="queued" hidden>{place}</span></p></section>'
    )


def picture(tokens: Sequence[Mapping], name: str, question: str = "") -> str:
    """Returns the section that shows what explain() says of an answer, to a `question` where one is given; `name` is another
    one for each of a page.

    A token is a radio button, so that one comes to all of them with a key press and from one to the next with arrows; its
    details stand beside the text. Which are shown is up to page.css; there is no script.
    """
    most = _most(tokens)
    about = f'<p class="about" dir="auto">{escape(question)}</p>' if question else ""
    text = "".join(_token(token, name, place == most) for place, token in enumerate(tokens))
    return (
        f'<section class="changed" aria-busy="false"><h2>{html("changed_title")}</h2>'
        f"{about}"
        f'<p class="gist" role="status">{sentence(tokens)}</p><div class="reading">'
        f'<fieldset class="tokens" dir="auto"><legend>{html("changed_choose")}</legend>{text}</fieldset>'
        f"{_key()}</div></section>"
    )


def sentence(tokens: Sequence[Mapping]) -> str:
    """Returns what the picture shows, in one sentence of HTML."""
    up, down = (
        sum(_raised(token) > SAME for token in tokens),
        sum(_raised(token) < -SAME for token in tokens),
    )
    if not up and not down:
        return html(
            "changed_nothing" if len(tokens) > 1 else "changed_nothing_of_one", count=len(tokens)
        )
    token = tokens[_most(tokens)]
    return html(
        "changed_up" if not down else "changed_both" if up else "changed_down",
        up=up,
        down=down,
        count=len(tokens),
        token=Html(f"<b><bdi>{_named(token['token'])}</bdi></b>"),
        before=chance(token["base_logprob"]),
        after=chance(token["tuned_logprob"]),
    )


def chance(logprob: float) -> Html:
    """Returns the probability of a logprob (nats) as a person reads it, with as many digits as say something; HTML."""
    percent = 100 * math.exp(logprob)
    if percent >= 99.95:
        return html("over", percent=decimal("99.9%"))
    if round(percent, 6) < 0.001:
        return html("under", percent=decimal("0.001%"))
    if percent >= 99.5:
        return html("number", number=decimal(f"{percent:.1f}%"))
    digits = (
        f"{percent:.0f}%"
        if percent >= 9.95
        else f"{percent:.2g}%"
        if percent >= 0.1
        else f"{percent:.1g}%"
    )
    return html("number", number=decimal(digits))


def times(by: float) -> Html:
    """Returns a difference of logprobs (nats) in words of HTML: how many times likelier, or less likely."""
    if abs(by) <= SAME:
        return html("as_before")
    factor = math.exp(min(abs(by), 20))
    if factor >= 1e6:
        return html("million_likelier" if by > 0 else "million_less")
    count = decimal(f"{factor:.1f}") if factor < 9.95 else int(float(f"{factor:.2g}"))
    return html("times_likelier" if by > 0 else "times_less", count=count)


def _raised(token: Mapping) -> float:
    """Returns by how many nats fine-tuning raised a token's logprob."""
    return token["tuned_logprob"] - token["base_logprob"]


def _most(tokens: Sequence[Mapping]) -> int:
    """Returns the place of the token that changed most: one that became likelier, if any did; with the strongest tint; and of
    several, the one whose probability moved farthest."""

    def change(place: int) -> tuple[bool, float, float]:
        token, by = tokens[place], _raised(tokens[place])
        return (
            by > SAME,
            min(abs(by), FULL),
            abs(math.exp(token["tuned_logprob"]) - math.exp(token["base_logprob"])),
        )

    return max(range(len(tokens)), key=change)


def _look(by: float) -> str:
    """Returns the class and style of a token whose logprob was raised `by` nats."""
    if abs(by) <= SAME:
        return 'class="token"'
    return f'class="token {"up" if by > 0 else "down"}" style="--by:{min(abs(by) / FULL, 1):.2f}"'


def _token(token: Mapping, name: str, chosen: bool) -> str:
    by, before, after = (
        _raised(token),
        chance(token["base_logprob"]),
        chance(token["tuned_logprob"]),
    )
    others = [
        (
            _named(other["token"]),
            chance(other["logprob"]),
            math.exp(other["logprob"]),
            other["token"] == token["token"],
        )
        for other in token["alternatives"]
    ]
    spoken = html(
        "token_spoken",
        token=_named(token["token"]),
        before=before,
        after=after,
        times=times(by),
        others=Html(", ".join(f"{word} {likely}" for word, likely, _, _ in others)),
    )
    bars = "".join(
        _bar(f"<bdi>{word}</bdi>", likely, share, "said" if said else "")
        for word, likely, share, said in others
    )
    shown = escape(token["token"]).replace("\n", '<i class="break">↵</i>\n')
    return (
        f'<label {_look(by)}><input type="radio" name="{name}"{" checked" if chosen else ""}>'
        f'<span class="spoken">{spoken}</span><span aria-hidden="true">{shown}</span>'
        f'<span class="detail" aria-hidden="true"><span class="what"><bdi>{_named(token["token"])}</bdi>'
        f"<small>{times(by)}</small></span>"
        f"{_bar(html('before'), before, math.exp(token['base_logprob']), 'before')}"
        f"{_bar(html('after'), after, math.exp(token['tuned_logprob']), 'after')}"
        f'<span class="rather">{html("rather")}</span>{bars}</span></label>'
    )


def _bar(word: str, likely: str, share: float, kind: str) -> str:
    return f'<span class="bar {kind}" style="--share:{share:.3f}"><span>{word}</span><i></i><span>{likely}</span></span>'


def _named(text: str) -> Html:
    """Returns a token as it is called, as HTML: its text, or what it is where that cannot be seen."""
    if not text.strip():
        return html("token_end" if not text else "token_break" if "\n" in text else "token_blank")
    return html("token_part") if text.strip() == HALF else Html(escape(text.strip()))


def _key() -> str:
    samples = "".join(
        f"<span {_look(by)}>{label}</span>"
        for by, label in (
            (-FULL, "÷1000"),
            (-FULL / 3, "÷10"),
            (0, html("key_same")),
            (FULL / 3, "×10"),
            (FULL, "×1000"),
        )
    )
    return (
        f'<div class="key"><p class="scale"><span>{html("key_less")}</span>{samples}<span>{html("key_more")}</span></p>'
        f'<p class="hint">{html("key")}</p></div>'
    )
