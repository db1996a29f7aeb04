"""space/page/tabs/ask.py: what the tab keeps of a conversation, without a browser."""

from types import SimpleNamespace

import gradio as gr
import pytest

from space.page.kept import pack, unpack
from space.page.tabs.ask import VERSIONS, Asked, AskTab, add_version, drop_empty_version
from space.settings import Settings
from tests.fake_engine import INFO, FakeEngine
from tests.languages import visible_text
from tests.space.model.test_conversation import said

REQUEST = SimpleNamespace(headers={})


@pytest.fixture(scope="module")
def tab() -> AskTab:
    with gr.Blocks():
        return AskTab(FakeEngine(delay=0), INFO, Settings())


def written(tab, turns, asked, tokens=200, seed=""):
    steps = tab.write(asked, turns, True, tokens, 0.0, seed, REQUEST)
    return [step[1] for step in steps]


def test_an_answer_again_keeps_both_versions(tab):
    turns = written(tab, [], Asked("What?", 0, again=False))[-1]
    again = written(tab, turns, Asked("What?", 0, again=True))[-1]
    assert [version["question"] for version in again[0]["versions"]] == ["What?", "What?"]
    assert again[0]["version"] == 1 and again[0]["versions"][0] == turns[0]
    shown = tab.show_version(again, "", False, SimpleNamespace(version=0))
    first = shown[4]
    assert first[0]["version"] == 0 and len(first[0]["versions"]) == 2
    assert "1/2" in visible_text(shown[1]) and unpack(shown[5]) == first
    back = tab.show_version([], pack(first), False, SimpleNamespace(version=7))[4]
    assert back[0]["version"] == 1, "the server had forgotten it"


def test_versions_are_counted_and_an_empty_one_is_dropped():
    turn = said("What?", "a", "b")
    for number in range(VERSIONS + 3):
        turn = add_version(turn, said("What?", f"{number}", "b"))
    assert len(turn["versions"]) == VERSIONS and turn["version"] == VERSIONS - 1
    empty = add_version(said("What?", "a", "b"), said("What?", "", ""))
    assert drop_empty_version([empty]) == [said("What?", "a", "b")]
    assert drop_empty_version([]) == []


def test_a_stopped_answer_and_a_cut_one_say_so(tab):
    steps = written(tab, [], Asked("What?", 0, again=False))
    stopped, ended = (visible_text(tab.render(turns)[1]) for turns in (steps[3], steps[-1]))
    assert stopped.count("Stopped before its end.") == 2 and "Stopped" not in ended
    cut = written(tab, [], Asked("What?", 0, again=False), tokens=5)[-1]
    assert visible_text(tab.render(cut)[1]).count("Cut at 5 tokens") == 2
    half = said("What?", "a", "b", stopped=True)
    half["figures"] |= {
        "base": {"tokens": 2, "seconds": 1.0},
        "tuned": {"tokens": 5, "seconds": 1.0},
    }
    assert visible_text(tab.render([half])[1]).count("Stopped") == 1, "the other had ended"


def test_what_the_server_forgot_comes_back_from_the_browser(tab):
    turns = written(tab, [], Asked("First", 0, again=False))[-1]
    begun = tab.begin("Second", [], pack(turns), False, "")
    asked = begun[tab.begun.index(tab.asked)]
    assert asked.index == 1 and begun[tab.begun.index(tab.turns)] == turns
    assert tab.edit([], pack(turns))[0] == "First"
    with pytest.raises(gr.Error):
        tab.edit([], "forged")


def test_start_anew_can_be_undone(tab):
    turns = [said("What?", "a", "b")]
    over = tab.start_over(turns, "")
    assert over[tab.begun.index(tab.turns)] == [] and over[-2] == ""
    assert 'data-event="undo"' in over[tab.begun.index(tab.aside)]
    back = tab.bring_back(over[-1], [])
    assert back[5] == turns and unpack(back[6]) == turns
    assert 'data-event="undo"' not in tab.start_over([], "")[tab.begun.index(tab.aside)]


def test_a_conversation_that_has_begun_is_not_overwritten(tab):
    old, new = pack([said("Old", "a", "b")]), [said("New", "a", "b")]
    assert all("update" in str(value) for value in tab.bring_back(old, new))


@pytest.mark.parametrize(("typed", "seed"), [("", None), (" ", None), ("0", 0), (" 42 ", 42)])
def test_an_empty_seed_is_a_fresh_draw(tab, typed, seed):
    tab.engine.calls.clear()
    written(tab, [], Asked("What?", 0, again=False), seed=typed)
    assert tab.engine.calls[-1][6] == seed


@pytest.mark.parametrize("typed", ["x", "-1", "1.5", "9" * 30, "²"])
def test_a_seed_that_is_no_number_is_refused(tab, typed):
    with pytest.raises(gr.Error, match="seed"):
        written(tab, [], Asked("What?", 0, again=False), seed=typed)
