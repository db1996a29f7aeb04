"""The Space's entry: settings -> pair -> demo; launch under __main__."""

try:
    # On ZeroGPU it must come before whatever starts CUDA; anywhere else its decorator does nothing.
    from spaces import GPU as on_gpu
except ImportError:
    from space.engine import at_hand as on_gpu

import sys

import gradio as gr

from space.engine import load_engine
from space.errors import CatalogueError, ModelError
from space.page.missing import Missing, build_missing, plain
from space.page.ui import build_demo, launch_options
from space.settings import Settings, SettingsError


def load_demo() -> tuple[gr.Blocks, Settings]:
    """Returns the page with its models loaded, and its settings; where that fails, see refused()."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        return refused(error, error.usable, 2), error.usable
    try:
        return build_demo(load_engine(settings, on_gpu), settings), settings
    except (ModelError, CatalogueError, ValueError, OSError) as error:
        return refused(error, settings, 1), settings


def refused(error: Exception, settings: Settings, code: int) -> gr.Blocks:
    """Returns, on a Space, the page that says what is missing; anywhere else ends the program with one line and `code`."""
    line = f"shelftalk: {plain(error)}"
    if not settings.on_space and code == 1:
        raise SystemExit(line) from None  # which Python prints, and ends with 1
    print(line, file=sys.stderr, flush=True)
    if not settings.on_space:
        raise SystemExit(code) from None
    # ZeroGPU does not start a Space without a function that borrows a GPU.
    on_gpu(Missing.answer, duration=None)
    return build_missing(error, settings)


demo, settings = load_demo()

if __name__ == "__main__":
    demo.launch(**launch_options(settings))
