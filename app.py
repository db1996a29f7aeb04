"""Start the Space: settings, engine, page."""

try:
    # On ZeroGPU this import must precede everything that starts CUDA.
    from spaces import GPU as on_gpu
except ImportError:
    from space.engine import run_here as on_gpu

import os
import signal
import socket
import sys

import gradio as gr

from space.engine import load_engine
from space.errors import CatalogueError, ModelError
from space.page import (
    Missing,
    build_demo,
    build_missing,
    launch_options,
    one_line,
    serve_until_stopped,
)
from space.settings import LOOPBACK, Settings, SettingsError, bypass_proxies, trust_proxies


def load_demo() -> tuple[gr.Blocks, Settings]:
    """Build the page with its models loaded, or else refuse()."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        return refuse(error, error.usable, 2), error.usable
    if __name__ == "__main__":
        check_port(settings)  # before the minutes that loading may take
    trust_proxies(settings)
    try:
        return build_demo(load_engine(settings, on_gpu), settings), settings
    except (ModelError, CatalogueError, ValueError, OSError) as error:
        return refuse(error, settings, 1), settings


def refuse(error: Exception, settings: Settings, code: int) -> gr.Blocks:
    """Build the page that says what is missing.

    Outside of a Space, exit with `code` and one line.
    """
    line = f"shelftalk: {one_line(error)}"
    if not settings.on_space and code == 1:
        raise SystemExit(line) from None  # Python prints the line and exits with 1
    print(line, file=sys.stderr, flush=True)
    if not settings.on_space:
        raise SystemExit(code) from None
    # ZeroGPU does not start a Space without a function that asks for a GPU.
    on_gpu(Missing.answer, duration=None)
    return build_missing(error, settings)


def check_port(settings: Settings) -> None:
    """Exit with one line where another program has the port."""
    with socket.socket() as probe:
        # As the server does: a port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK[0], settings.port))
        except OSError as error:
            raise SystemExit(
                f"shelftalk: port {settings.port} is taken ({error.strerror}): "
                "stop what listens there, or set PORT to another"
            ) from None


def stop_by_sigterm() -> None:
    """Let SIGTERM act as Ctrl-C, so that the last votes are sent."""
    started = os.getpid()

    def stop(number: int, frame: object) -> None:
        if os.getpid() != started:  # a process that ZeroGPU forked
            os._exit(128 + number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def serve(demo: gr.Blocks, settings: Settings) -> None:
    """Serve the page until it is stopped."""
    bypass_proxies()  # gradio asks its own page when it starts
    try:
        serve_until_stopped(demo, launch_options(settings))
    except OSError:
        check_port(settings)  # taken while the models were loaded
        raise


if __name__ == "__main__":
    stop_by_sigterm()
try:
    demo, settings = load_demo()
    if __name__ == "__main__":
        serve(demo, settings)
except KeyboardInterrupt:
    raise SystemExit("shelftalk: stopped") from None
