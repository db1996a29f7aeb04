"""The page and its public endpoints, made with gradio.

The tabs wire events, html/ renders what they show, and the engine answers.
"""

from space.page.launch import serve_until_stopped
from space.page.missing import Missing, build_missing, one_line
from space.page.ui import build_demo, launch_options

__all__ = [
    "Missing",
    "build_demo",
    "build_missing",
    "launch_options",
    "one_line",
    "serve_until_stopped",
]
