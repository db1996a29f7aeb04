"""Serve a page: launch it, bound its connections, and end with it."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import gradio as gr
from uvicorn import Server

from space.page.guards import FewLines

REQUEST_SECONDS = 10  # from a connection, or the first byte of a request, to its whole head
MOST_CONNECTIONS = 4000
SPARE_FILES = 200  # file descriptors that are kept for everything but connections


def serve_until_stopped(demo: gr.Blocks, options: dict[str, Any]) -> None:
    """Launch a page and wait for its end."""
    try:
        demo.launch(**options, prevent_thread_lock=True)
        assert demo.server is not None
        bound_connections(demo.server)
        wait_for_end(demo)
    except KeyboardInterrupt:
        print("shelftalk: stopped, closing server", flush=True)
        if demo.is_running:
            demo.close(verbose=False)


def wait_for_end(demo: gr.Blocks) -> None:
    """Wait until a page is closed, or end where its queue stopped."""
    while demo.is_running and not demo._queue.stopped:
        time.sleep(0.2)
    if demo.is_running:
        print("shelftalk: the queue stopped, so the page ends: start it again", file=sys.stderr)
        raise SystemExit(1)


def bound_connections(server: Server, most: int | None = None) -> None:
    """Bound the server's connections, their requests' time, and the log.

    Without `most` it is what the system's limit of open files leaves.
    """
    config, limit = server.config, most or _most_connections()
    kind: Any = config.http_protocol_class

    class Bounded(kind):
        """A connection that is closed where no request comes."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self.opened, self._deadline = time.monotonic(), None
            self._expect_request()
            if len(self.connections) > limit:
                make_room(self.connections, limit, self)

        def at_work(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._expect_request()

        def _expect_request(self) -> None:
            if self.at_work():
                if self._deadline:
                    self._deadline.cancel()
                self._deadline = None
            elif self._deadline is None:
                self._deadline = self.loop.call_later(REQUEST_SECONDS, self._expire)

        def _expire(self) -> None:
            self._deadline = None
            if not self.at_work():
                self.transport.close()

    config.http_protocol_class = Bounded
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(FewLines())


def make_room(connections: Iterable[Any], limit: int, newest: Any) -> None:
    """Close the oldest connection without a request, or else the newest."""
    # A closed one stays in the set until the loop's next round.
    there = [each for each in connections if not each.transport.is_closing()]
    if len(there) > limit:
        waiting = [each for each in there if not each.at_work()]
        min(waiting, key=lambda each: each.opened, default=newest).transport.abort()


def _most_connections() -> int:
    with suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_CONNECTIONS + SPARE_FILES
        if soft < wanted:
            soft = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(50, min(MOST_CONNECTIONS, soft - SPARE_FILES))
    return 500
