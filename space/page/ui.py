"""build_demo(...) -> gr.Blocks: the page, which is wiring over a few named functions."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from space.page.api import add_endpoints
from space.page.html import cards
from space.page.tabs.ask import ask_tab
from space.page.tabs.blind import blind_tab
from space.page.tabs.elsewhere import elsewhere_tab
from space.page.tabs.evidence import evidence_tab
from space.page.tabs.made import made_tab
from space.page.tabs.parts import I18N, label, markup
from space.page.tabs.summarize import summarize_tab
from space.settings import UPLOAD_LIMIT, Settings

HERE = Path(__file__).parent
SESSIONS = 1000  # visitors whose conversations are in memory, the latest; gradio keeps about half a megabyte of each
LEFT_BEHIND = (
    600,
    600,
)  # seconds: how often, and how old, files are deleted that were sent but never read
# The key of each one's name in space/texts.py, and what fills it.
TABS = {
    "ask_tab": ask_tab,
    "blind_tab": blind_tab,
    "summarize_tab": summarize_tab,
    "evidence_tab": evidence_tab,
    "made_tab": made_tab,
    "elsewhere_tab": elsewhere_tab,
}


def build_demo(engine, settings: Settings) -> gr.Blocks:
    """Returns the page with its public endpoints, ready to launch; `engine` answers (see space/engine.py)."""
    info = engine.info()
    with gr.Blocks(title=cards.NAME, analytics_enabled=False, delete_cache=LEFT_BEHIND) as demo:
        markup(cards.header(tuple(TABS)))
        for name, fill in TABS.items():
            with gr.Tab(label(name)):
                fill(engine, info, settings)
        add_endpoints(engine, settings)
    return demo.queue(max_size=settings.queue_size, api_open=False)


def launch_options(settings: Settings) -> dict:
    """Returns the keyword arguments of demo.launch(): looks, address, and what gradio must not show or record."""
    return {
        "theme": cards.theme(),
        "css": (HERE / "page.css").read_text(encoding="utf-8"),
        "js": (HERE / "page.js").read_text(encoding="utf-8"),
        "i18n": I18N,
        "server_name": "0.0.0.0" if settings.on_space else "127.0.0.1",
        "server_port": settings.port,
        "mcp_server": True,
        "ssr_mode": False,
        "show_error": True,
        "strict_cors": True,
        "share": False,
        "enable_monitoring": False,
        "run_history": False,
        "footer_links": ["api"],
        "max_file_size": UPLOAD_LIMIT,
        "state_session_capacity": SESSIONS,
    }
