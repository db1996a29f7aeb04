"""space/page/tabs/how.py: what the handlers compute, refuse and say."""

from types import SimpleNamespace

import gradio as gr
import pytest

from space.page.tabs.how import HowTab
from space.settings import Settings
from tests.fake_engine import FakeEngine


@pytest.fixture
def tab():
    engine = FakeEngine(delay=0)
    with gr.Blocks():
        return HowTab(engine, engine.info(), Settings())


def test_a_chapter_is_computed_for_the_text_and_its_controls_shown(tab):
    shown, ids, at, trying, training, layer, _ = tab.show("a lamp burns", "guesses")
    assert layer == gr.skip() and tab.show("a lamp", "attention")[5:] == (1, 1)
    assert "lamp" in shown and ids == [0, 1, 2]
    assert not at.visible and not trying.visible and not training.visible
    assert tab.show("a lamp", "attention")[2].visible and tab.show("a lamp", "tuning")[3].visible
    assert tab.show("a lamp", "transfer")[4].visible
    for chapter in ("tokens", "near", "transfer"):
        assert "<section" in tab.show("a lamp", chapter)[0]


def test_opened_again_the_tab_computes_nothing(tab):
    assert "<section" in tab.show_first("a lamp", "tokens", False)[1]
    assert tab.show_first("a lamp", "tokens", True) == (gr.skip(),) * 8


def test_what_a_base_cannot_show_is_said_in_its_place_and_other_errors_pop_up(tab):
    tab.inside.refused["guesses"] = "how_encoder_guesses"
    assert "encoder-decoder" in tab.show("a lamp", "guesses")[0]
    with pytest.raises(gr.Error, match="empty"):
        tab.show("  ", "guesses")
    tab.inside.refused["precision_cost"] = "how_no_attention"
    assert "attention" in tab.show_cost("a lamp")


def test_without_snapshots_the_chapter_says_how_to_get_them_and_asks_nothing(tab):
    tab.inside.refused["snapshots"] = "how_transfer_none"
    shown, _, _, _, training, *_ = tab.show("a lamp", "transfer")
    assert "train fit --snapshots" in shown and not training.visible


def test_a_guess_goes_on_from_its_place(tab):
    shown, ids = tab.go_on([0, 1, 2], SimpleNamespace(first=1, second=9))
    assert tab.engine.calls[-1] == ("guesses_after", [0, 9]) and ids == [0, 1] and shown
    for first, second in ((4, 1), (-1, 1), ("x", 1), (float("inf"), 1)):
        with pytest.raises(gr.Error, match="older"):
            tab.go_on([0, 1, 2], SimpleNamespace(first=first, second=second))
    with pytest.raises(gr.Error, match="older"):
        tab.go_on([0], SimpleNamespace())


def test_a_named_head_moves_the_sliders(tab):
    _, layer, head = tab.show_named("a lamp", SimpleNamespace(first=1, second=1))
    assert (layer, head) == (2, 2) and tab.engine.calls[-1] == ("attention", 1, 1)


def test_an_empty_question_is_one_about_the_catalogue(tab):
    shown, question = tab.answer_strengths(" ")
    assert question == tab.engine.examples(1)[0] and "Lantern" in shown
    shown, question = tab.answer_along_training("")
    assert question == tab.engine.examples(1)[0] and "After 39." in shown
    with pytest.raises(gr.Error, match="20,000"):
        tab.answer_along_training("x" * 20_001)
    assert tab.record(4) == (tab.engine.records[1]["content"], 5)
