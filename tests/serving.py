"""A page served for a test: on a free port of loopback, and gone afterwards."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from space.page.ui import build_demo, launch_options
from space.settings import Settings


@contextmanager
def serving(engine, **settings) -> Iterator[str]:
    """Yields the address at which `engine` answers with these settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chosen = Settings(port=port, **settings)
    demo = build_demo(engine, chosen)
    demo.launch(**launch_options(chosen), prevent_thread_lock=True, quiet=True)
    try:
        yield demo.local_url
    finally:
        demo.close()
