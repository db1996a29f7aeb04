"""app.py: the entry has a demo, or ends with one line and an exit code."""

import runpy
import sys
import types
from pathlib import Path

import pytest

from space.engine import run_here
from tests.fake_engine import FakeEngine

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def entry(monkeypatch):
    """Runs app.py, without launching it, with this load_engine."""

    def run(load_engine):
        module = types.ModuleType("space.engine")
        module.load_engine, module.run_here = load_engine, run_here
        monkeypatch.setitem(sys.modules, "space.engine", module)
        return runpy.run_path(str(ROOT / "app.py"), run_name="app")

    return run


def test_the_entry_has_a_demo(entry):
    assert entry(lambda settings, on_gpu: FakeEngine())["demo"].title == "Shelftalk"


def test_wrong_settings_end_with_one_line_and_2(entry, monkeypatch, capsys):
    monkeypatch.setenv("PORT", "eighty")
    with pytest.raises(SystemExit) as caught:
        entry(lambda settings, on_gpu: FakeEngine())
    assert caught.value.code == 2
    assert capsys.readouterr().err == "shelftalk: PORT is 'eighty', which is not a whole number\n"


def test_a_folder_that_cannot_take_votes_ends_with_one_line(entry, monkeypatch):
    monkeypatch.setenv("VOTES_DIR", "/dev/null/votes")
    with pytest.raises(
        SystemExit,
        match=r"^shelftalk: VOTES_DIR is /dev/null/votes: .*; name a folder that can be written$",
    ):
        entry(lambda settings, on_gpu: FakeEngine())


def test_a_model_that_does_not_load_ends_with_one_line(entry):
    def load_engine(settings, on_gpu):
        raise OSError("no such base")

    with pytest.raises(SystemExit) as caught:
        entry(load_engine)
    assert (
        caught.value.code == "shelftalk: no such base"
    )  # Python prints it to stderr and exits with 1
