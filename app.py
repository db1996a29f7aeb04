"""Start the Space: settings, engine, page."""

try:
    # On ZeroGPU this import must precede everything that starts CUDA.
    from spaces import GPU as on_gpu
except ImportError:
    from space.engine import run_here as on_gpu

import sys

import gradio as gr

from space.engine import load_engine
from space.errors import CatalogueError, ModelError
from space.page import Missing, build_demo, build_missing, launch_options, one_line
from space.settings import Settings, SettingsError


def load_demo() -> tuple[gr.Blocks, Settings]:
    """Build the page with its models loaded, or else refuse()."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        return refuse(error, error.usable, 2), error.usable
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


demo, settings = load_demo()

if __name__ == "__main__":
    demo.launch(**launch_options(settings))
