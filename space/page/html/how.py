"""The chapters of the tab How it works as HTML: a sentence of numbers, a picture, and how."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from space.evidence import Mark, bars, heat
from space.inside import NearRecord, Neighbours, StrengthAnswer, Transfer
from space.model import (
    AdapterChange,
    Attention,
    Guesses,
    LayerChange,
    Place,
    PrecisionCost,
    Snapshots,
    TokenReading,
)
from space.page.html.changed import format_chance, name_token
from space.page.html.formulas import render_formula
from space.texts import Html, decimal, html

# The key of each chapter's name in space/texts.json.
CHAPTERS = {
    "tokens": "how_tokens",
    "guesses": "how_guesses",
    "near": "how_near",
    "attention": "how_attention",
    "tuning": "how_tuning",
    "transfer": "how_transfer",
}
IDEAS = {
    "tokens": "how_tokens_idea",
    "guesses": "how_guesses_idea",
    "near": "how_near_idea",
    "attention": "how_attention_idea",
    "tuning": "how_tuning_idea",
    "transfer": "how_transfer_idea",
}
HEADS = {
    "previous": "how_head_previous",
    "same": "how_head_same",
    "first": "how_head_first",
}
FULL_LOSS = 10.0  # nats; from it on a tint is as strong as it gets
WORDS_SHOWN = 6  # words that fall apart
SHORT = 3  # letters; shorter words say nothing about what two texts share


def render_waiting() -> str:
    """Render a chapter while it is computed."""
    return f'<p class="hint" role="status">{html("how_waiting")}</p>'


def render_refused(chapter: str, key: str, values: dict) -> str:
    """Render a chapter that this base cannot show, and why."""
    return _chapter(chapter, html(key, **values), "")


def _chapter(chapter: str, sentence: str, body: str) -> str:
    return (
        f'<section class="changed how"><h2>{html(CHAPTERS[chapter])}</h2>'
        f'<p class="hint idea">{html(IDEAS[chapter])}</p>'
        f'<p class="gist" role="status">{sentence}</p>{body}{render_formula(chapter)}</section>'
    )


def _figure(value: float, digits: int = 2) -> dict[str, str]:
    return decimal(f"{value:.{digits}f}")


def _percent(share: float) -> dict[str, str]:
    percent = 100 * share
    digits = 0 if percent >= 10 or not percent else 1 if percent >= 1 else 2
    return decimal(f"{percent:.{digits}f}%")


def _quoted(text: str) -> Html:
    return Html(f"<b><bdi>{name_token(text)}</bdi></b>")


# --- tokens ---


def render_tokens(reading: TokenReading) -> str:
    """Render a text in tokens, and the words that fall apart most."""
    count = len(reading.words)
    sentence = html(
        "how_tokens_said",
        words=count,
        tokens=reading.count,
        characters=reading.characters,
        window=reading.window,
        vocabulary=reading.vocabulary,
    )
    if reading.count > len(reading.ids):
        sentence = html("how_tokens_long", tokens=reading.count, shown=len(reading.ids))
    elif count:
        per = html("how_tokens_per", per=_figure(len(reading.ids) / count))
        sentence = Html(f"{sentence} {per}")
    apart = sorted(reading.words, key=lambda word: -len(word.ids))
    apart = [word for word in apart if len(word.ids) > 1]
    entire = next((word for word in reading.words if len(word.ids) == 1 and word.bare), None)
    if apart and entire:
        worst = apart[0]
        against = html(
            "how_tokens_apart",
            word=_quoted(worst.text),
            count=len(worst.ids),
            other=_quoted(entire.text),
        )
        sentence = Html(f"{sentence} {against}")
    marks, seen = [], set()
    for word in apart:
        if word.text not in seen and len(marks) < WORDS_SHOWN:
            seen.add(word.text)
            parts = "·".join(name_token(piece) for piece in word.pieces)
            most = len(apart[0].ids)
            name = Html(f"<bdi>{parts}</bdi>")
            label = html("how_count_tokens", count=len(word.ids))
            marks.append(Mark("word", name, len(word.ids) / most, label))
    pieces = "".join(f'<span class="piece">{_shown(piece)}</span>' for piece in reading.pieces)
    body = f'<p class="pieces" aria-hidden="true" dir="auto">{pieces}</p>'
    if marks:
        body += f"<h3>{html('how_tokens_fall')}</h3>{bars(marks)}"
    return _chapter("tokens", sentence, body)


def _shown(piece: str) -> str:
    if "\ufffd" in piece:
        return '<i class="break">▯</i>'
    return escape(piece).replace("\n", '<i class="break">↵</i>\n') or "·"


# --- a text to choose from, with a panel for each place ---


def _reader(
    name: str, legend: str, tokens: Sequence[str], panels: Sequence[str], chosen: int
) -> str:
    """Render tokens as radio buttons, each with a panel.

    The tab's script shows the panel of the chosen one.
    """
    shown = []
    for index, panel in enumerate(panels):
        hidden = "" if index == chosen else " hidden"
        shown.append(f'<div class="panel" data-at="{index}"{hidden}>{panel}</div>')
    return (
        f'<div class="reader"><fieldset class="tokens" dir="auto" data-name="{name}">'
        f"<legend>{html(legend)}</legend>{''.join(tokens)}</fieldset>"
        f'<div class="panels">{"".join(shown)}</div></div>'
    )


def _radio(name: str, index: int, chosen: int, spoken: str, shown: str, by: float) -> str:
    checked = " checked" if index == chosen else ""
    kind = f'class="token surprise" style="--by:{by:.2f}"' if by else 'class="token"'
    return (
        f'<label {kind}><input type="radio" name="{name}" data-at="{index}"{checked}>'
        f'<span class="spoken">{spoken}</span><span aria-hidden="true">{shown}</span></label>'
    )


# --- next-token guesses ---


def render_guesses(guesses: Guesses) -> str:
    """Render tokens tinted by loss, and guesses at each place."""
    places, last = guesses.places, len(guesses.places) - 1
    tokens, panels = [], []
    for index, place in enumerate(places):
        shown = _shown(place.text) if place.id is not None else '<i class="next">▮</i>'
        spoken = html("how_place_next")
        if place.id is not None:
            spoken = html("how_place", token=name_token(place.text))
        by = min((place.loss or 0.0) / FULL_LOSS, 1.0)
        tokens.append(_radio("how-guess", index, last, spoken, shown, by))
        panels.append(_guess_panel(index, place))
    scored = [place for place in places if place.loss is not None]
    if scored:
        mean = guesses.loss or 0.0
        most = max(scored, key=lambda place: place.loss or 0.0)
        sentence = html(
            "how_guesses_said",
            tokens=len(scored),
            loss=_figure(mean),
            perplexity=_figure(math.exp(min(mean, 20)), 0 if mean > 2.3 else 1),
            token=_quoted(most.text),
            chance=format_chance(-(most.loss or 0.0)),
        )
    else:
        sentence = html("how_guesses_one")
    if guesses.cut:
        sentence = Html(f"{sentence} {html('how_cut', shown=len(places) - 1)}")
    body = _reader("how-guess", "how_choose", tokens, panels, last)
    return _chapter("guesses", sentence, body)


def _guess_panel(index: int, place: Place) -> str:
    heading = html("how_next")
    if place.id is not None:
        heading = _quoted(place.text)
    about = ""
    if place.loss is not None:
        chance = format_chance(-place.loss)
        about = html("how_place_loss", chance=chance, loss=_figure(place.loss))
    elif place.id is not None:
        about = html("how_place_first")
    marks = []
    for guess in place.guesses:
        name = Html(
            f'<button type="button" class="go" data-event="select" data-first="{index}" '
            f'data-second="{guess.id}"><bdi>{name_token(guess.text)}</bdi></button>'
        )
        kind = "chosen" if guess.id == place.id else ""
        likely = format_chance(math.log(max(guess.probability, 1e-30)))
        marks.append(Mark(kind, name, guess.probability, likely))
    hint = f'<p class="hint">{html("how_go_on")}</p>' if marks else ""
    return f"<h3>{heading}</h3><p>{about}</p>{bars(marks) if marks else ''}{hint}"


# --- embeddings ---


def render_near(near: Neighbours, text: str) -> str:
    """Render each word's nearest tokens, and the nearest records beside the search's."""
    tokens, panels = [], []
    lengths = [len(word.word) for word in near.words]
    chosen = lengths.index(max(lengths)) if lengths else 0  # a long word says most
    for index, word in enumerate(near.words):
        spoken = html("how_word", word=word.word)
        tokens.append(_radio("how-word", index, chosen, spoken, f"{escape(word.word)} ", 0))
        marks = []
        for neighbour in word.neighbours:
            name = Html(f"<bdi>{name_token(neighbour.text)}</bdi>")
            cosine = html("number", number=_figure(neighbour.cosine))
            marks.append(Mark("word", name, neighbour.cosine, cosine))
        about = html("how_word_token")
        if len(word.pieces) > 1:
            about = html("how_word_tokens", count=len(word.pieces))
        panels.append(f"<h3>{escape(word.word)}</h3><p>{about}</p>{bars(marks)}")
    body = _reader("how-word", "how_choose_word", tokens, panels, chosen) if tokens else ""
    sentence = html("how_near_none")
    if near.words and near.words[chosen].neighbours:
        first = near.words[chosen]
        sentence = html(
            "how_near_word",
            word=_quoted(first.word),
            token=_quoted(first.neighbours[0].text),
            cosine=_figure(first.neighbours[0].cosine),
        )
    if near.by_meaning:
        sentence = Html(f"{sentence} {_compare(near, text)}")
        body += f'<div class="two">{_records("how_by_meaning", near.by_meaning, near.by_words)}'
        body += f"{_records('how_by_words', near.by_words, near.by_meaning)}</div>"
        body += f'<p class="hint">{html("how_records_read", read=near.read, total=near.total)}</p>'
    return _chapter("near", sentence, body)


def _compare(near: Neighbours, text: str) -> Html:
    """Say where the hidden states and where the words find more."""
    words = _long_words(text)
    found = {record.title for record in near.by_words}
    both = [record for record in near.by_meaning if record.title in found]
    without = [record for record in near.by_meaning if not words & _long_words(record.title)]
    said = html("how_near_both", both=len(both), count=len(near.by_meaning))
    if without:
        title = Html(f"<b>{escape(without[0].title)}</b>")
        said = Html(f"{said} {html('how_near_without', title=title)}")
    if near.by_words:
        title = Html(f"<b>{escape(near.by_words[0].title)}</b>")
        said = Html(f"{said} {html('how_near_words', title=title)}")
    return said


def _long_words(text: str) -> set[str]:
    spaced = "".join(letter if letter.isalnum() else " " for letter in text.casefold())
    return {word for word in spaced.split() if len(word) >= SHORT}


def _records(key: str, records: Sequence[NearRecord], others: Sequence[NearRecord]) -> str:
    shared = {record.title for record in others}
    marks = []
    for record in records:
        score = html("number", number=_figure(record.score))
        kind = "chosen" if record.title in shared else ""
        marks.append(Mark(kind, record.title, record.score, score))
    body = bars(marks) if marks else f'<p class="hint">{html("how_records_none")}</p>'
    return f"<div><h3>{html(key)}</h3>{body}</div>"


# --- attention ---


def render_attention(attention: Attention) -> str:
    """Render one head's weights, and the heads with a habit."""
    last = len(attention.pieces) - 1
    tokens, panels = [], []
    for index, piece in enumerate(attention.pieces):
        spoken = html("how_place", token=name_token(piece))
        tokens.append(_radio("how-look", index, last, spoken, _shown(piece), 0))
        panels.append(_attention_panel(attention, index))
    weights = attention.weights[last]
    best = max(range(len(weights)), key=lambda index: weights[index])
    where = {"layer": attention.layer + 1, "head": attention.head + 1}
    sentence = html(
        "how_attention_said",
        **where,
        token=_quoted(attention.pieces[last]),
        other=_quoted(attention.pieces[best]),
        share=_percent(weights[best]),
    )
    if attention.cut:
        sentence = Html(f"{sentence} {html('how_cut', shown=len(attention.pieces))}")
    named = []
    for head in attention.named:
        at = {"layer": head.layer + 1, "head": head.head + 1}
        said = html(HEADS[head.kind], **at, share=_percent(head.share))
        pressed = head.layer == attention.layer and head.head == attention.head
        named.append(
            f'<li><button type="button" class="quiet" data-event="edit" data-first="{head.layer}" '
            f'data-second="{head.head}" aria-pressed="{str(pressed).lower()}">{said}</button></li>'
        )
    found = f'<ul class="heads">{"".join(named)}</ul>' if named else ""
    drawn = (
        f'<figure class="map">{heat(attention.weights, 1.0)}'
        f"<figcaption>{html('how_map')}</figcaption></figure>"
    )
    reader = _reader("how-look", "how_choose", tokens, panels, last)
    return _chapter("attention", sentence, f"{found}{reader}{drawn}")


def _attention_panel(attention: Attention, index: int) -> str:
    weights = attention.weights[index]
    order = sorted(range(len(weights)), key=lambda other: -weights[other])[:5]
    marks = []
    for other in order:
        name = _position(attention, other)
        marks.append(
            Mark("word", name, weights[other], html("number", number=_percent(weights[other])))
        )
    total = attention.layers * attention.heads
    favourites = []
    for other, heads in attention.favourites[index]:
        label = html("number", number=heads)
        favourites.append(Mark("word", _position(attention, other), heads / total, label))
    return (
        f"<h3>{_quoted(attention.pieces[index])}</h3><p>{html('how_this_head')}</p>{bars(marks)}"
        f"<p>{html('how_all_heads', heads=total)}</p>{bars(favourites)}"
    )


def _position(attention: Attention, index: int) -> Html:
    return Html(f"<bdi>{name_token(attention.pieces[index])}</bdi> <small>{index + 1}</small>")


# --- fine-tuning ---


def render_tuning(change: AdapterChange) -> str:
    """Render how much the adapter changed each layer."""
    if not change.layers:
        return _chapter("tuning", html("how_tuning_none"), "")
    most = max(change.layers, key=lambda layer: layer.ratio)
    least = min(change.layers, key=lambda layer: layer.ratio)
    sentence = html(
        "how_tuning_said",
        trained=change.trained,
        total=change.total,
        share=_percent(change.trained / change.total),
        part=_part(most),
        block=most.block,
        ratio=_percent(most.ratio),
        least=_part(least),
        least_block=least.block,
        least_ratio=_percent(least.ratio),
    )
    blocks = list(dict.fromkeys(layer.block for layer in change.layers))
    parts = list(dict.fromkeys(layer.part for layer in change.layers))
    ratios = {(layer.block, layer.part): layer.ratio for layer in change.layers}
    # Parts as rows: a model has many layers and few parts, and a page is wide.
    values = []
    for part in parts:
        values.append([ratios.get((block, part)) for block in blocks])
    names = "".join(f"<li>{_short(part)}</li>" for part in parts)
    drawn = (
        f'<figure class="map layers"><div class="sides"><ul aria-hidden="true">{names}</ul>'
        f'{heat(values, most.ratio, wide=True)}</div><p class="ends" aria-hidden="true">'
        f"<span>{escape(blocks[0])}</span><span>{escape(blocks[-1])}</span></p>"
        f"<figcaption>{html('how_layers')}</figcaption></figure>"
    )
    return _chapter("tuning", sentence, f"{drawn}{_table(blocks, parts, ratios)}")


def _part(layer: LayerChange) -> Html:
    return Html(f"<code>{_short(layer.part)}</code>")


def _short(part: str) -> str:
    return escape(part.rpartition(".")[2])


def _table(
    blocks: Sequence[str], parts: Sequence[str], ratios: dict[tuple[str, str], float]
) -> str:
    heads = "".join(f'<th scope="col">{_short(part)}</th>' for part in parts)
    rows = "".join(_rows(blocks, parts, ratios))
    return (
        f'<details class="numbers"><summary>{html("how_table")}</summary><div class="scroll" '
        f'tabindex="0"><table><thead><tr><th scope="col">{html("how_layer")}</th>{heads}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div></details>"
    )


def _rows(
    blocks: Sequence[str], parts: Sequence[str], ratios: dict[tuple[str, str], float]
) -> Iterator[str]:
    for block in blocks:
        row = f'<tr><th scope="row">{escape(block)}</th>'
        for part in parts:
            ratio = ratios.get((block, part))
            shown = "–" if ratio is None else html("number", number=_percent(ratio))
            row += f"<td>{shown}</td>"
        yield row + "</tr>"


def render_strengths(answers: Sequence[StrengthAnswer], question: str) -> str:
    """Render a slider of the adapter's strength and its answers."""
    stops = []
    for answer in answers:
        checked = " checked" if answer.strength == 1 else ""
        stops.append(
            f'<label><input type="radio" name="how-strength" data-at="{len(stops)}"{checked}>'
            f"<span>{answer.strength:.0%}</span></label>"
        )
    panels = []
    for index, answer in enumerate(answers):
        hidden = "" if answer.strength == 1 else " hidden"
        text = escape(answer.text) or html("wordless")
        panels.append(
            f'<div class="panel" data-at="{index}"{hidden}><p class="words" dir="auto">{text}</p>'
            f"<p>{_stop_note(answer.strength)}</p></div>"
        )
    different = len({answer.text for answer in answers})
    legend = f"<legend>{html('how_strength')}</legend>"
    sentence = html("how_strength_said", different=different, count=len(answers))
    return (
        f'<section class="changed how strength"><p class="about" dir="auto">{escape(question)}</p>'
        f'<p class="gist" role="status">{sentence}</p><div class="reader">'
        f'<fieldset class="stops">{legend}{"".join(stops)}</fieldset>'
        f'<div class="panels" aria-live="polite">{"".join(panels)}</div></div></section>'
    )


def _stop_note(strength: float) -> str:
    if strength == 0:
        return html("how_strength_base")
    if strength == 1:
        return html("how_strength_tuned")
    if strength > 1:
        return html("how_strength_over", percent=f"{strength:.0%}")
    return html("how_strength_part", percent=f"{strength:.0%}")


def render_cost(cost: PrecisionCost) -> str:
    """Say what 4 bits cost on a text."""
    four, sixteen = cost.losses if cost.loaded == "nf4" else cost.losses[::-1]
    sentence = html(
        "how_cost_said",
        difference=_figure(cost.difference),
        share=_percent(cost.difference / cost.spread if cost.spread else 0.0),
        same=cost.same,
        places=cost.places,
        before=_figure(sixteen),
        after=_figure(four),
    )
    marks = []
    for key, loss in (("how_cost_bf16", sixteen), ("how_cost_nf4", four)):
        value = loss / max(four, sixteen, 1e-9)
        marks.append(Mark("word", html(key), value, html("number", number=_figure(loss))))
    return (
        f'<section class="changed how"><p class="gist" role="status">{sentence}</p>'
        f"{bars(marks)}</section>"
    )


def render_cost_refused(key: str, values: dict) -> str:
    """Say why 4 bits and bf16 cannot be compared here."""
    return f'<p class="hint" role="status">{html(key, **values)}</p>'


# --- transfer ---


def render_snapshots(snapshots: Snapshots) -> str:
    """Render which snapshots of its training an adapter brought."""
    total, steps = snapshots.total, list(snapshots.files)
    named = Html(", ".join(html("number", number=step) for step in steps))
    sentence = html("how_transfer_found", total=total, steps=named)
    if snapshots.left_out:
        left_out = html("how_transfer_left_out", count=snapshots.left_out)
        sentence = Html(f"{sentence} {left_out}")
    marks = []
    for step in [0, *steps, total]:
        share = html("number", number=_percent(step / total))
        marks.append(Mark("word", _point(step, total), step / total, share))
    return _chapter("transfer", sentence, bars(marks))


def render_transfer(transfer: Transfer, question: str) -> str:
    """Render one question's answers along the training, and their facts."""
    answers, total = transfer.answers, transfer.total
    final = len(answers) - 1
    while final and answers[final - 1].text == answers[-1].text:
        final -= 1
    sentence = html(
        "how_transfer_said",
        different=len({answer.text for answer in answers}),
        count=len(answers),
        total=total,
        step=answers[final].step,
    )
    judged = ""
    if transfer.title:
        facts = html(
            "how_transfer_facts",
            title=_quoted(transfer.title),
            first=answers[0].supported,
            last=answers[-1].supported,
        )
        sentence, judged = Html(f"{sentence} {facts}"), _supported(transfer)
    points = []
    for answer in answers:
        text = escape(answer.text) or html("wordless")
        points.append(
            f'<li><h3>{_point(answer.step, total)}</h3><p class="words" dir="auto">{text}</p></li>'
        )
    return (
        f'<section class="changed how"><p class="about" dir="auto">{escape(question)}</p>'
        f'<p class="gist" role="status">{sentence}</p>{judged}'
        f'<ol class="points">{"".join(points)}</ol></section>'
    )


def _supported(transfer: Transfer) -> Html:
    most = max(answer.facts for answer in transfer.answers)
    marks = []
    for answer in transfer.answers:
        name = _point(answer.step, transfer.total)
        label = html("how_transfer_supported", supported=answer.supported, facts=answer.facts)
        marks.append(Mark("word", name, answer.supported / max(most, 1), label))
    return bars(marks)


def _point(step: int, total: int) -> Html:
    if step == 0:
        return html("how_transfer_base")
    if step == total:
        return html("how_transfer_tuned", total=total)
    return html("how_transfer_step", step=step, total=total, share=_percent(step / total))
