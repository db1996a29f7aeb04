"""The Space's entry: settings -> pair -> demo; launch under __main__."""

from contextlib import suppress

with suppress(ImportError):
    import spaces  # noqa: F401  on ZeroGPU it must come before whatever starts CUDA

import sys

import gradio as gr

from space.base import PairError
from space.engine import load_engine
from space.settings import Settings, SettingsError
from space.sources import SourceError
from space.ui import build_demo, launch_options


def read_settings() -> Settings:
    """Returns the environment's settings; ends the program with code 2 and one line where they cannot be used."""
    try:
        return Settings.from_environment()
    except SettingsError as error:
        print(f"shelftalk: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def load_demo(settings: Settings) -> gr.Blocks:
    """Returns the page with its models loaded; ends the program with code 1 and one line where that fails."""
    try:
        return build_demo(load_engine(settings), settings)
    except (PairError, SourceError, ValueError, OSError) as error:
        raise SystemExit(f"shelftalk: {error}") from None


settings = read_settings()
demo = load_demo(settings)

if __name__ == "__main__":
    demo.launch(**launch_options(settings))
