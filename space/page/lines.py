"""The lines in which events wait: gradio's queue, which no session can stop or fill."""

from __future__ import annotations

import random
import time
from asyncio import Queue as Messages
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fastapi
import gradio as gr
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, Queue
from gradio.route_utils import get_fn
from gradio.server_messages import EventMessage, ProcessCompletedMessage
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import LRUCache

from space.page.api import MODEL
from space.texts import html, words

OTHER_LINE = 100  # events that wait in any line but the model's
PER_VISITOR = 4  # events of one session that wait for the model
UNHEARD = 60.0  # seconds that an event waits for somebody to listen to it
LEFT = 0.5  # seconds after which the model stops for a listener who left
MAILBOXES = 2000  # sessions whose messages are kept
PROGRAMS = 100  # sessions without an open page whose state is kept


class Listeners:
    """Count the open streams of each session."""

    def __init__(self, remembered: int = 0) -> None:
        self._open: Counter[str] = Counter()
        self._known: OrderedDict[str, None] = OrderedDict()  # those that ever listened
        self._remembered = remembered

    @contextmanager
    def listening(self, session: str) -> Iterator[None]:
        """Count a stream while it is open."""
        self._open[session] += 1
        self._known[session] = None
        self._known.move_to_end(session)
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]

    def hears(self, session: str) -> bool:
        return session in self._open

    def knows(self, session: str) -> bool:
        return session in self._open or session in self._known


class Mailboxes(LRUCache):
    """The messages of each session, the latest ones.

    A session with an event at work or with an open stream is never pushed out, and a message for
    one that is gone is dropped: gradio's own queue stops for good at either (docs/gradio-queue.md).
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__(MAILBOXES)
        self._lines = lines

    def __missing__(self, session: str) -> Messages[EventMessage]:
        return Messages()

    def popitem(self, last: bool = True):
        """Push out the oldest session that waits for nothing."""
        lines = self._lines
        at_work = {event.session_hash for event in lines.event_ids_to_events.values()}
        for session in self:
            if session not in at_work and not lines.listeners.hears(session):
                lines.pending_event_ids_session.pop(session, None)
                return session, self.pop(session)
        return super().popitem(last)


class Lines(Queue):
    """Gradio's queue with bounded lines, which runs what somebody hears.

    `visitors` may wait for the model. Every other function has a line of its own, so that a full
    one refuses nobody who asks for something else.
    """

    def __init__(self, blocks: gr.Blocks, visitors: int) -> None:
        super().__init__(
            live_updates=True,
            concurrency_count=blocks.max_threads,
            update_intervals=1,
            max_size=None,
            blocks=blocks,
        )
        self.visitors = visitors
        self.listeners = Listeners()
        self.pending_messages_per_session = Mailboxes(self)
        self._left: dict[str, float] = {}  # since when nobody hears a running event

    async def push(self, body: PredictBodyInternal, request: fastapi.Request, username: str | None):
        """Put an event into its line, or refuse it in words."""
        fn = get_fn(self.blocks, None, body)
        if self._is_full(fn.concurrency_id, body.session_hash):
            if fn.api_visibility == "public":
                return False, words("line_full"), "queue_full"
            # The browser would replace the words of a full queue by English ones.
            return False, html("line_full"), "error"
        return await super().push(body, request, username)

    def _is_full(self, line: str, session: str | None) -> bool:
        limit, own = OTHER_LINE, OTHER_LINE
        if line == MODEL["concurrency_id"]:
            limit, own = self.visitors, PER_VISITOR
        waiting = self._waiting(line)
        unheard = [event for event in waiting if not self.listeners.hears(event.session_hash)]
        # Who does not listen takes nobody's room: the oldest of them goes.
        for event in unheard[: max(0, len(unheard) - limit + 1)]:
            self._drop(event)
        if sum(event.session_hash == session for event in waiting) >= own:
            return True
        visitors = {event.session_hash for event in waiting if event not in unheard}
        return session not in visitors and len(visitors) >= limit

    def _waiting(self, line: str) -> list[Event]:
        found = self.event_queue_per_concurrency_id.get(line)
        return list(found.queue) if found else []

    def _drop(self, event: Event) -> None:
        """Forget an event that waits."""
        line = self.event_queue_per_concurrency_id[event.concurrency_id]
        if event in line.queue:
            line.queue.remove(event)
        self.event_ids_to_events.pop(event._id, None)
        pending = self.pending_event_ids_session.get(event.session_hash, set())
        pending.discard(event._id)
        if not pending:
            self.pending_event_ids_session.pop(event.session_hash, None)

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """Take the next event that somebody hears, of any line."""
        lines = list(self.event_queue_per_concurrency_id.items())
        random.shuffle(lines)
        for name, line in lines:
            limit = line.concurrency_limit
            if limit is not None and line.current_concurrency >= limit:
                continue
            for event in line.queue:
                if self.listeners.hears(event.session_hash):
                    line.queue.remove(event)
                    return [event], False, name
        return None

    def send_message(self, event: Event, event_message: EventMessage) -> None:
        """Send a message, a foreign error without its details."""
        if isinstance(event_message, ProcessCompletedMessage) and not event_message.success:
            say = words if event.fn.api_visibility == "public" else html
            event_message.output = hide_details(event_message.output, say)
        super().send_message(event, event_message)

    def look_after(self) -> None:
        """Stop the model for those who left, and forget who never listened."""
        now = time.monotonic()
        running: dict[str, Event] = {}
        for job in self.active_jobs:
            for event in job or ():
                running[event._id] = event
        for name in [name for name in self._left if name not in running]:
            del self._left[name]
        for name, event in running.items():
            if self.listeners.hears(event.session_hash):
                self._left.pop(name, None)
            elif now - self._left.setdefault(name, now) >= LEFT:
                event.alive = False  # gradio then closes its generator at the next step
        for line in list(self.event_queue_per_concurrency_id.values()):
            for event in list(line.queue):
                unheard = not self.listeners.hears(event.session_hash)
                if unheard and now - event.enqueue_time > UNHEARD:
                    self._drop(event)
            # An unheard event is passed by, so nobody's place counts it.
            line.queue.sort(key=lambda event: not self.listeners.hears(event.session_hash))


class Sessions(OrderedDict[str, SessionState]):
    """The state of each visitor; programs, which have none to lose, are the first to go.

    Then go the pages that are closed, and last those that are open, each the oldest first.
    """

    def __init__(self, holder: StateHolder, pages: Listeners) -> None:
        self._holder, self._pages = holder, pages
        super().__init__(holder.session_data)

    def __setitem__(self, session: str, state: SessionState) -> None:
        is_new = session not in self
        super().__setitem__(session, state)
        if is_new:
            programs = [each for each in self if not self._pages.knows(each)]
            for each in programs[: max(0, len(programs) - PROGRAMS)]:
                del self[each]
                self._holder.time_last_used.pop(each, None)

    def popitem(self, last: bool = True) -> tuple[str, SessionState]:
        """Push out the session that loses least."""
        others = list(self)[:-1]  # the newest is in use
        closed = [session for session in others if not self._pages.hears(session)]
        programs = [session for session in closed if not self._pages.knows(session)]
        for candidates in (programs, closed, others):
            if candidates:
                return candidates[0], self.pop(candidates[0])
        return super().popitem(last)


def open_lines(demo: gr.Blocks, visitors: int) -> gr.Blocks:
    """Give a page its lines, with room for `visitors` at the model."""
    demo.queue(api_open=False)
    demo._queue = Lines(demo, visitors)  # gradio has no public way to bring a queue
    return demo


def hide_details(output: dict[str, Any], say) -> dict[str, Any]:
    """Replace the message of a foreign error.

    It may hold paths of this machine. Our own messages are gradio's Error, which has a title.
    """
    if "error" in output and "title" not in output:
        return {**output, "error": say("failed"), "visible": True}
    return output
