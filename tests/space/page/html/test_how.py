"""space/page/html/how.py: each chapter has a sentence of its numbers, and escapes texts."""

import re
from dataclasses import replace

import pytest

from space.page.html import how
from space.page.html.formulas import FORMULAS
from tests.fake_engine import FakeEngine
from tests.languages import visible_text

EVIL = "<img src=x onerror=alert(1)> lamp"


@pytest.fixture
def inside():
    return FakeEngine(delay=0).inside


def drawn(inside, text: str = EVIL) -> dict[str, str]:
    return {
        "tokens": how.render_tokens(inside.tokens(text)),
        "guesses": how.render_guesses(inside.guesses(text)),
        "near": how.render_near(inside.neighbours(text), text),
        "attention": how.render_attention(inside.attention(text)),
        "tuning": how.render_tuning(inside.adapter()),
        "transfer": how.render_snapshots(inside.snapshots()),
        "along": how.render_transfer(inside.transfer(text), text),
        "strengths": how.render_strengths(inside.strengths(text), text),
        "cost": how.render_cost(inside.precision_cost(text)),
    }


def test_every_chapter_has_its_sentence_in_both_languages_and_how_it_is_computed(inside):
    shown = drawn(inside)
    assert set(how.CHAPTERS) == set(FORMULAS) == set(how.IDEAS) < set(shown)
    for name, page in shown.items():
        assert 'class="gist" role="status"' in page, name
        assert visible_text(page) != visible_text(page, "pt")
        if name in FORMULAS:
            assert page.count('<details class="computed">') == 1 and "http" in page


def test_nothing_of_a_text_becomes_markup(inside):
    for page in drawn(inside).values():
        assert "<img" not in page and "<b>lantern" not in page
    refused = how.render_refused("tokens", "how_bits_large", {"size": 5})
    assert "5 MB" in visible_text(refused)


def test_the_sentences_say_the_numbers(inside):
    shown = {name: visible_text(page) for name, page in drawn(inside, "a lamp burns").items()}
    assert "6 tokens, of a list of 600; the window holds 512" in shown["tokens"]
    assert "“churrasqueira” costs 3 tokens, “a” one" in shown["tokens"]
    # Losses of 0.5 and 1 nats have a mean of 0.75, and e to it is 2.1.
    assert "Over 2 tokens the mean loss is 0.75 nats" in shown["guesses"]
    assert "among 2.1 equal tokens" in shown["guesses"] and "it gave it 37%" in shown["guesses"]
    assert "2 of the 3 records" in shown["near"]
    assert "The token nearest to burns is lamp, with a cosine of 0.70" in shown["near"]
    assert "with 33% of its attention" in shown["attention"]
    assert "Layer 2, head 2: 93% goes to the token before" in shown["attention"]
    assert "600 trained weights, 4.9% of the 12,345" in shown["tuning"]
    assert "up_proj in block 3: by 6.0%" in shown["tuning"]
    assert "moved by 0.30 on average, 10% of their spread" in shown["cost"]
    assert "went from 3.10 to 3.20" in shown["cost"]
    assert "5 different answers at 5 strengths" in shown["strengths"]
    assert "386 steps" in shown["transfer"] and "after step 39, 193" in shown["transfer"]
    assert "Left out, because damaged or of another adapter: 1." in shown["transfer"]
    assert "3 different answers at 4 points of 386 steps" in shown["along"]
    assert "the last answer is there from step 193 on" in shown["along"]
    assert "facts of the answers: 0 before training, 3 at the end" in shown["along"]


def test_each_answer_stands_under_its_step_and_its_share_of_the_training(inside):
    page = how.render_transfer(inside.transfer("What?"), "What?")
    names = [visible_text(name) for name in re.findall(r"<li><h3>(.*?)</h3>", page)]
    assert names == [
        "Before training",
        "After 39 of 386 steps (10%)",
        "After 193 of 386 steps (50%)",
        "At the end, after 386 steps",
    ]
    assert re.findall(r"What\? After (\d+)\.", page) == ["0", "39", "193", "193"]
    assert "2 of 3 facts" in visible_text(page) and "What? After 39." in page


def test_answers_that_no_record_judges_have_no_facts(inside):
    transfer = inside.transfer("What?")
    page = visible_text(how.render_transfer(replace(transfer, title=""), "What?"))
    assert "record" not in page.replace("without records", "") and "facts" not in page
    same = tuple(replace(answer, text="") for answer in transfer.answers)
    page = visible_text(how.render_transfer(replace(transfer, answers=same), "What?"))
    assert "1 different answers" in page and "from step 0 on" in page


def test_a_guess_can_be_chosen_and_only_the_chosen_panel_shows(inside):
    page = how.render_guesses(inside.guesses("a lamp burns"))
    assert page.count('data-event="select"') == 15  # at each place but the first
    assert 'data-first="3" data-second="4"' in page
    panels = re.findall(r'<div class="panel" data-at="(\d)"( hidden)?>', page)
    assert panels == [("0", " hidden"), ("1", " hidden"), ("2", " hidden"), ("3", "")]


def test_the_slider_begins_at_the_tuned_model(inside):
    page = how.render_strengths(inside.strengths("What?"), "What?")
    assert re.findall(r'data-at="(\d)" checked', page) == ["3"]
    assert page.count('type="radio"') == 5 and page.count(" hidden>") == 4


def test_one_token_has_no_loss_and_an_adapter_may_change_nothing(inside):
    assert "Nothing stands before" in visible_text(how.render_guesses(inside.guesses("lamp")))
    change = type(inside.adapter())((), 0, 10)
    assert "no linear layer" in visible_text(how.render_tuning(change))
