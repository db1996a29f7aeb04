"""Build the page from its tabs and endpoints, and set how it is launched and looks."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import gradio as gr
from gradio.themes import Base, Color, Font

from space.engine import Engine
from space.page.api import add_endpoints
from space.page.guards import guard_options
from space.page.html import cards
from space.page.html.about import render_about
from space.page.limits import Limits
from space.page.lines import open_lines
from space.page.metrics import READINGS, Readings, health_routes, open_metrics
from space.page.share import ShareTags
from space.page.tabs.ask import AskTab
from space.page.tabs.blind import BlindTab
from space.page.tabs.elsewhere import elsewhere_tab
from space.page.tabs.evidence import evidence_tab
from space.page.tabs.how import HowTab
from space.page.tabs.made import made_tab
from space.page.tabs.parts import I18N, label, markup
from space.page.tabs.summarize import SummarizeTab
from space.page.watch import Watched
from space.settings import UPLOAD_LIMIT, Settings, keep_uploads_apart

HERE = Path(__file__).parent
# Visitors whose conversations are in memory, the latest ones; gradio needs about 0.5 MB for each.
SESSIONS = 1000
# Seconds: how often files that were sent but never read are deleted, and from which age on.
DELETE_UNREAD = (30, 120)
# The key of each tab's name in space/texts.json, and what builds the tab.
TABS = {
    "ask_tab": AskTab,
    "summarize_tab": SummarizeTab,  # second, so that a phone has room for its name
    "blind_tab": BlindTab,
    "evidence_tab": evidence_tab,
    "made_tab": made_tab,
    "how_tab": HowTab,
    "elsewhere_tab": elsewhere_tab,
}
# Shades from 50 to 950.
PAPER = Color(
    *"#f8f2e7 #f2eadc #e7ddcc #d4c7b1 #ab9d87 #7d705d "
    "#655947 #4a4035 #332c25 #231e19 #191511".split()
)
RUST = Color(
    *"#fcefe7 #f9dfd1 #f2bfa5 #ea9c77 #e58356 #c9582a "
    "#a8411a #8a3513 #6d2b11 #4a2010 #2f1509".split()
)


def theme() -> Base:
    """Build the theme, light and dark, on which page.css builds."""
    system, mono = Font("sans-serif"), Font("monospace")
    return Base(
        primary_hue=RUST,
        secondary_hue=RUST,
        neutral_hue=PAPER,
        font=[system],
        font_mono=[mono],
        radius_size="sm",
        text_size="md",
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="#fffdf9",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_800",
        block_background_fill="*background_fill_primary",
        block_background_fill_dark="*background_fill_primary",
        input_background_fill="*background_fill_primary",
        input_background_fill_dark="*background_fill_primary",
        input_border_color="*neutral_400",
        input_border_color_dark="*neutral_500",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        color_accent="*primary_600",
        color_accent_soft="*primary_50",
        color_accent_soft_dark="*primary_900",
        block_shadow="none",
        block_shadow_dark="none",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="#fffdf9",
        button_primary_text_color_dark="*neutral_950",
    )


def build_demo(engine: Engine, settings: Settings) -> gr.Blocks:
    """Build the page with its public endpoints, ready to launch."""
    metrics = open_metrics(settings)
    watched = Watched(engine, Limits(settings), metrics.record if metrics else None)
    engine = cast(Engine, watched)
    info = engine.info()
    keep_uploads_apart()
    with gr.Blocks(title=cards.NAME, analytics_enabled=False, delete_cache=DELETE_UNREAD) as demo:
        invented = settings.catalogue == Settings.catalogue
        about = render_about(info, engine.evidence(), invented)
        markup(cards.render_header(tuple(TABS), about))
        for name, build_tab in TABS.items():
            with gr.Tab(label(name)) as tab:
                built = build_tab(engine, info, settings)
            if isinstance(built, HowTab):
                built.open_with(tab)
        add_endpoints(engine, settings)
    open_lines(demo, settings.queue_size)
    if metrics:
        metrics.follow(engine, lambda: len(demo._queue))
    READINGS[demo] = Readings(engine, metrics)
    return demo


def launch_options(settings: Settings) -> dict:
    """Return the keyword arguments of demo.launch(): looks, address, and what stays private."""
    guarded = guard_options(settings, health_routes(settings))
    guarded["app_kwargs"]["middleware"] = [(ShareTags, (), {})]  # class, arguments, options
    return {
        "theme": theme(),
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
        **guarded,
    }
