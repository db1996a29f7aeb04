"""The events of a conversation: a question asked, stopped, asked again, edited; what changed; and the whole to keep."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

import gradio as gr

from space.page.api import MODEL, converse_in, refusal, refusals
from space.page.export import export_json, export_markdown
from space.page.html import cards, changed
from space.page.html import conversation as turns
from space.page.tabs.parts import QUIET, WAITS
from space.texts import html

AGAIN = 0.7  # the temperature of an answer that is asked for again where the page's is 0: there it would be the same
BUSY = '.stage [aria-busy="true"]'
# In the browser, before the server hears of it: so nothing that is typed meanwhile is lost.
TAKE = f"(text) => [text, text.trim() && !document.querySelector('{BUSY}') ? '' : text]"
LANGUAGE = "(talk, carried) => [talk, document.documentElement.lang]"
SAVE = """(text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "%s"}));
  link.download = "%s";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  return "";
}"""


@dataclass(frozen=True)
class Chat:
    """The parts of a conversation that its events read and draw."""

    info: Mapping
    past: gr.HTML
    live: gr.HTML
    shelf: gr.HTML
    changes: gr.HTML
    examples: gr.Dataset
    note: gr.HTML  # says that the last question is being edited; else empty
    box: gr.Textbox
    carried: gr.Textbox  # hidden: what the browser and a handler hand each other
    ask: gr.Button
    stop: gr.Button
    markdown: gr.Button
    json: gr.Button
    clear: gr.Button
    talk: (
        gr.State
    )  # the turns, the one that is being written among them; see space/model/conversation.py
    asked: gr.State  # the question on its way: {key, question, place, again}

    @property
    def buttons(self) -> list[gr.Button]:
        """In the order of _states()."""
        return [self.ask, self.stop, self.markdown, self.json, self.clear]

    def drawn(self, talk: list[dict]) -> tuple[str, str, str]:
        """Returns the conversation as it stands: past, live and shelf."""
        if not talk:
            return "", cards.pair(self.info), ""
        last = turns.turn(self.info, talk[-1], len(talk) - 1, last=True)
        return turns.past(self.info, talk[:-1]), last, turns.shelf(talk[-1])


def wire_talk(chat: Chat, engine, options: list, has_examples: bool) -> None:
    """Connects everything that is asked; `options` are use_sources, max_new_tokens, temperature and seed."""

    def begin(words, talk, live, changes, editing):
        if cards.is_writing(live + changes) or not words.strip():
            raise refusal("busy" if words.strip() else "empty", html)
        return _begun(chat, words, talk, talk[:-1] if editing else talk, again=False)

    def retry(talk, live, changes):
        if cards.is_writing(live + changes):
            raise refusal("busy", html)
        return _begun(chat, _last(talk)["question"], talk, talk[:-1], again=True)

    def settle(asked, talk, words):
        # A question that never came to its models goes back to where it was written, there to be edited if it was.
        lost = (
            asked
            and not asked["again"]
            and not (talk and talk[-1].get("key") == asked["key"])
            and not words
        )
        return (
            *chat.drawn(talk),
            turns.editing() if lost and asked["place"] < len(talk) else gr.skip(),
            asked["question"] if lost else gr.skip(),
            gr.Dataset(visible=has_examples and not talk),
            *_states(talk=talk),
        )

    read, drawn = [chat.talk, chat.live, chat.changes], [chat.past, chat.live, chat.shelf]
    taken = gr.on(
        [chat.ask.click, chat.box.submit],
        None,
        chat.box,
        [chat.carried, chat.box],
        js=TAKE,
        **QUIET,
    )
    picked = chat.examples.click(
        lambda sample: sample[0], chat.examples, chat.carried, queue=False, **QUIET
    )
    begun = [*drawn, chat.changes, chat.note, chat.asked, chat.examples, *chat.buttons]
    starts = [
        event.then(begin, [chat.carried, *read, chat.note], begun, concurrency_limit=None, **QUIET)
        for event in (taken, picked)
    ]
    for start in starts:
        start.failure(
            lambda words, carried: words or carried,
            [chat.box, chat.carried],
            chat.box,
            queue=False,
            **QUIET,
        )
    starts.append(chat.live.retry(retry, read, begun, concurrency_limit=None, **QUIET))
    runs = [
        start.success(
            _stream(chat, engine),
            [chat.asked, chat.talk, *options],
            [chat.live, chat.talk, chat.shelf],
            **MODEL,
            **WAITS,
            show_progress_on=chat.live,
        )
        for start in starts
    ]
    for run in runs:
        # `then` comes after an end or a stop, whose own handler a late word could overtake; not after an error.
        for after in (run.then, run.failure):
            after(
                settle,
                [chat.asked, chat.talk, chat.box],
                [*drawn, chat.note, chat.box, chat.examples, *chat.buttons],
                queue=False,
                **QUIET,
            )
    chat.stop.click(None, cancels=runs)
    chat.live.edit(
        lambda talk: (_last(talk)["question"], turns.editing()),
        chat.talk,
        [chat.box, chat.note],
        queue=False,
        **QUIET,
    )
    chat.note.undo(lambda: ("", ""), None, [chat.box, chat.note], queue=False, **QUIET)
    chat.clear.click(
        lambda: (
            *chat.drawn([]),
            "",
            "",
            None,
            gr.Dataset(visible=has_examples),
            *_states(),
            "",
            [],
        ),
        None,
        [*begun, chat.box, chat.talk],
        queue=False,
        **QUIET,
    )


def _last(talk: list[dict]) -> dict:
    """Returns the last turn; a page that was open while the server started anew shows some that it no longer has."""
    if not talk:
        raise refusal("chat_gone", html)
    return talk[-1]


def _begun(chat: Chat, question: str, talk: list[dict], before: list[dict], again: bool) -> tuple:
    """Returns what is drawn the moment that a question is asked; the turns `before` it stay."""
    asked = {
        "key": secrets.token_hex(8),
        "question": question,
        "place": len(before),
        "again": again,
    }
    return (
        turns.past(chat.info, before),
        turns.waiting(chat.info, question, len(before)),
        "",
        "",
        "",
        asked,
        gr.Dataset(visible=False),
        *_states(busy=True),
    )


def _stream(chat: Chat, engine) -> Callable:
    """Returns the handler that writes a turn: it yields the live turn, the conversation with it, and its records."""
    converse = converse_in(engine, html)

    def stream(asked, talk, use_sources, max_new_tokens, temperature, seed):
        before, marks, again = talk[: asked["place"]], None, asked["again"] and not temperature
        if asked["again"]:
            temperature, seed = temperature or AGAIN, None
        with closing(
            converse(asked["question"], before, use_sources, max_new_tokens, temperature, seed)
        ) as steps:
            for step in steps:
                written = step.as_turn(asked["question"], use_sources, int(max_new_tokens)) | {
                    "key": asked["key"]
                }
                written["figures"] = {**step.figures, "again": again}
                # Drawn only when they change, so that records that were opened stay open.
                seen, marks = marks, cards.cited(step.tuned, len(step.sources))
                yield (
                    turns.turn(chat.info, written, len(before), writing=True, last=True),
                    [*before, written],
                    gr.skip() if seen == marks else turns.shelf(written),
                )

    return stream


def wire_changes(chat: Chat, explain: Callable) -> None:
    """Connects the question what changed, which each turn of the conversation has."""

    def begin(talk, live, changes, event: gr.EventData):
        if cards.is_writing(live + changes):
            raise refusal("busy", html)
        _last(talk)
        return changed.waiting(), max(0, min(int(event.turn), len(talk) - 1)), *_states(busy=True)

    def draw(talk, place):
        this = talk[place]
        with refusals(html):
            tokens = explain(
                this["question"],
                this["tuned"],
                this["use_sources"],
                this["max_new_tokens"],
                talk[:place],
            )
        return changed.picture(tokens, "of-an-answer", this["question"])

    def settle(talk, changes):
        return "" if cards.is_writing(changes) else gr.skip(), *_states(talk=talk)

    place = gr.State()
    starts = [
        turns.select(
            begin,
            [chat.talk, chat.live, chat.changes],
            [chat.changes, place, *chat.buttons],
            concurrency_limit=None,
            **QUIET,
        )
        for turns in (chat.past, chat.live)
    ]
    runs = [
        start.success(draw, [chat.talk, place], chat.changes, **MODEL, **WAITS) for start in starts
    ]
    for run in runs:
        for after in (run.then, run.failure):
            after(
                settle,
                [chat.talk, chat.changes],
                [chat.changes, *chat.buttons],
                queue=False,
                **QUIET,
            )
    chat.stop.click(None, cancels=runs)


def wire_export(chat: Chat) -> None:
    """Connects the two ways to keep a conversation: it is sent to the browser, which makes the file."""
    file = gr.Textbox(visible="hidden", elem_classes="carried")
    for button, write, kind, name in (
        (
            chat.markdown,
            lambda talk, language: export_markdown(talk, chat.info, _written(language)),
            "text/markdown",
            "shelftalk.md",
        ),
        (
            chat.json,
            lambda talk, _: export_json(talk, chat.info),
            "application/json",
            "shelftalk.json",
        ),
    ):
        made = button.click(write, [chat.talk, file], file, js=LANGUAGE, queue=False, **QUIET)
        made.success(None, file, file, js=SAVE % (kind, name), **QUIET)


def _written(language: str) -> str:
    """Returns the language of a file for a page in this one: gradio names a browser's own, whatever it is."""
    return "pt" if language.startswith("pt") else "en"


def _states(busy: bool = False, talk: list | None = None) -> tuple[gr.Button, ...]:
    """Returns which buttons can be pressed: Chat.buttons, in its order."""
    return tuple(
        gr.Button(interactive=on) for on in (not busy, busy, *[not busy and bool(talk)] * 3)
    )
