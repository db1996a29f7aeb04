"""space/page/ui.py: how the page is built and launched."""

from space.page.tabs.parts import label
from space.page.ui import build_demo, launch_options
from space.settings import Settings
from tests.fake_engine import FakeEngine


def switch(demo) -> dict:
    return next(
        component["props"]
        for component in demo.config["components"]
        if str(component["props"].get("label")) == str(label("use_sources"))
    )


def test_without_a_catalogue_the_switch_is_off_and_says_why():
    with_catalogue, without = (
        switch(build_demo(FakeEngine(), Settings(catalogue=catalogue)))
        for catalogue in ("somewhere", None)
    )
    assert with_catalogue["value"] is True and with_catalogue["interactive"] is True
    assert (
        without["value"] is False
        and without["interactive"] is False
        and str(without["info"]) == str(label("no_catalogue"))
    )


def test_only_a_space_listens_to_everyone():
    assert launch_options(Settings())["server_name"] == "127.0.0.1"
    assert launch_options(Settings(on_space=True))["server_name"] == "0.0.0.0"
