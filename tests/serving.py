"""A page served for a test: on a free port of loopback, and gone afterwards."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from space.page.ui import build_demo, launch_options
from space.settings import Settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving_demo(engine, **settings) -> Iterator[gr.Blocks]:
    """Serve the page of `engine` with these settings."""
    chosen = Settings(port=free_port(), **settings)
    demo = build_demo(engine, chosen)
    demo.launch(**launch_options(chosen), prevent_thread_lock=True, quiet=True)
    try:
        yield demo
    finally:
        demo.close()


@contextmanager
def serving(engine, **settings) -> Iterator[str]:
    """Serve the page of `engine` with these settings, and yield its address."""
    with serving_demo(engine, **settings) as demo:
        yield demo.local_url
