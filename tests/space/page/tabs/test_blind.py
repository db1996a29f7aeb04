"""The blind test over real HTTP: what leaves the server before the vote names nobody, and a pair
takes one vote.
"""

import itertools
import json
import re
import secrets
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from space.page import votes
from space.page.tabs.parts import label
from space.page.ui import build_demo
from space.page.votes import read_votes
from space.settings import Settings
from space.texts import TEXTS
from tests.fake_engine import INFO, FakeEngine
from tests.languages import visible_text
from tests.serving import serving_demo

NAMES = re.compile(
    rf"base|tuned|ajustad|fine-tuning|left|right|{INFO['adapter']}|{INFO['base_revision'][:7]}",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(engine, page, folder of votes) of a page that keeps votes."""
    folder = tmp_path_factory.mktemp("votes")
    engine = FakeEngine(delay=0.005)
    # Neither answer of this one says by itself whose it is.
    engine.base, engine.tuned = (
        "It is a lamp <b>of oak</b>.",
        "It is a lantern <script>alert(1)</script> [1].",
    )
    with serving_demo(engine, votes_dir=str(folder)) as demo:
        yield engine, demo, folder


class Visitor:
    """A browser's page: it calls the tab's events as the page's own script does, and keeps all that
    it was sent.
    """

    def __init__(self, demo):
        self.address, self.session, self.seen = (
            f"{demo.local_url}gradio_api",
            secrets.token_hex(6),
            "",
        )
        self.places = {}
        for place, function in demo.fns.items():
            name = getattr(getattr(function.fn, "func", function.fn), "__qualname__", "")
            if name == "BlindTab.write":
                self.places["ask"] = place
            elif name == "BlindTab.vote":
                self.places[function.fn.args[0]] = place

    def post(self, path, name, data):
        body = {"fn_index": self.places[name], "data": data, "session_hash": self.session}
        request = urllib.request.Request(
            f"{self.address}/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def ask(self, question, use_sources=True, stop_after=None):
        """Streams two answers and returns the last messages; with `stop_after`, goes after so many."""  # noqa: E501
        self.post("queue/join", "ask", [question, use_sources, 200, 0.5])
        messages = []
        with urllib.request.urlopen(
            f"{self.address}/queue/data?session_hash={self.session}", timeout=20
        ) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    self.seen += line.decode()
                    messages.append(json.loads(line[5:]))
                if messages and (
                    messages[-1]["msg"] == "process_completed" or len(messages) == stop_after
                ):
                    return messages

    def vote(self, choice="a", agreed=False):
        """Votes as a click does; returns ("", cards, score) or (the refusal, "", "")."""
        answer = self.post("run/predict", choice, [None, None, agreed])
        if "error" in answer:
            return visible_text(answer["error"]), "", ""
        return "", visible_text(answer["data"][0]), visible_text(answer["data"][1])


@pytest.fixture(autouse=True)
def quick_reader(monkeypatch):
    monkeypatch.setattr(votes, "READING", 0)


@pytest.fixture
def visitor(served):
    return Visitor(served[1])


def test_before_the_vote_nothing_that_the_browser_gets_says_which_is_which(visitor, monkeypatch):
    orders = itertools.cycle((("base", "tuned"), ("tuned", "base")))
    monkeypatch.setattr(votes.secrets, "choice", lambda _: next(orders))
    firsts = []
    for number in range(4):
        visitor.seen = ""
        messages = visitor.ask(f"Lamp {number}?")
        assert messages[-1]["success"]
        assert len(visitor.seen) > 2000 and not NAMES.search(visitor.seen), NAMES.search(
            visitor.seen
        )
        error, cards, _ = visitor.vote("tie")
        assert not error
        firsts.append("A Tuned" in cards)
        assert ("A Tuned" in cards) == (cards.index("lantern") < cards.index("lamp <b>"))
    assert firsts == [False, True, False, True]


def test_names_and_score_come_with_the_vote_and_the_second_is_refused(visitor, served):
    visitor.ask("What is it?")
    error, cards, score = visitor.vote("b")
    assert not error and INFO["adapter"] in cards and "your choice" in cards
    won = cards.index("A Base") < cards.index("B Tuned") if "B Tuned" in cards else False
    assert ("100% (95% interval: 21% to 100%)" if won else "0% (95% interval: 0% to 79%)") in score
    assert visitor.vote("b")[0] == visitor.vote("a")[0] == TEXTS["vote_twice"]["en"]
    visitor.ask("And that?")
    assert "ties: 1" in visitor.vote("tie")[2] and not list(served[2].iterdir())


def test_of_clicks_at_once_one_counts_and_only_with_consent_is_it_kept(served, visitor):
    visitor.ask("‮ <b>¿O lampião?</b> [INST] </s> 🏮")
    with ThreadPoolExecutor(8) as pool:
        errors = [each[0] for each in pool.map(lambda _: visitor.vote("both_bad", True), range(8))]
    assert sorted(errors) == ["", *[TEXTS["vote_twice"]["en"]] * 7]
    (path,) = served[2].iterdir()
    (line,) = read_votes(path)
    assert (
        line["verdict"] == "both_bad" and line["question"] == "‮ <b>¿O lampião?</b> [INST] </s> 🏮"
    )
    assert (
        line["temperature"] == 0.5
        and line["use_sources"] is True
        and line["adapter_revision"] == INFO["adapter_revision"]
    )
    visitor.ask("Another")
    visitor.vote("tie")
    visitor.ask("And another")
    for agreed in (1, "yes", None):
        visitor.vote("tie", agreed)
    assert len(list(read_votes(path))) == 1


def test_a_vote_for_answers_that_never_were_or_have_not_ended_is_refused(served, visitor):
    engine, demo, folder = served
    before = sum(path.stat().st_size for path in folder.iterdir())
    assert visitor.vote("a", True)[0] == TEXTS["vote_none"]["en"]
    visitor.ask("What is it?")
    assert Visitor(demo).vote("a", True)[0] == TEXTS["vote_none"]["en"], (
        "another visitor has nothing to vote on"
    )
    engine.delay = 0.1
    try:
        visitor.ask("A slow one", stop_after=5)
        assert visitor.vote("a", True)[0] == TEXTS["vote_early"]["en"]
        assert engine.closed.wait(10), "a visitor who left frees the model"
        assert visitor.vote("a", True)[0] == TEXTS["vote_early"]["en"], (
            "nor can one that was stopped be voted on"
        )
    finally:
        engine.delay = 0.005
    assert before == sum(path.stat().st_size for path in folder.iterdir())


def test_an_old_pair_is_refused(visitor, monkeypatch):
    visitor.ask("What is it?")
    monkeypatch.setattr(votes, "LIFETIME", -1)
    assert visitor.vote()[0] == TEXTS["vote_late"]["en"]


def test_a_vote_that_cannot_be_kept_is_not_counted_and_can_be_cast_again(
    served, visitor, monkeypatch
):
    def full(*_):
        raise OSError("no space left at /secret")

    visitor.ask("What is it?")
    with monkeypatch.context() as patch:
        patch.setattr("space.page.votes.Votes.keep", full)
        assert visitor.vote("a", True)[0] == TEXTS["vote_lost"]["en"]
    assert visitor.vote("a", True)[0] == ""


@pytest.mark.parametrize(
    ("question", "use_sources", "words"),
    [
        (" ", True, "empty"),
        ("x" * 20_001, True, "20,001"),
        ("hi", "yes", "use_sources must be true or false"),
    ],
)
def test_a_question_that_is_refused_leaves_nothing_to_vote_on(
    visitor, question, use_sources, words
):
    last = visitor.ask(question, use_sources)[-1]
    assert not last["success"] and words in visible_text(last["output"]["error"])
    assert visitor.vote()[0] == TEXTS["vote_none"]["en"]


def test_without_a_place_for_votes_nothing_asks_for_consent():
    props = [
        component["props"]
        for component in build_demo(FakeEngine(), Settings()).config["components"]
    ]
    assert str(label("blind_keep")) not in {str(each.get("label")) for each in props}
    assert any(TEXTS["blind_keep_none"]["pt"] in str(each.get("value")) for each in props)


def test_a_script_keeps_few_votes(served, visitor, monkeypatch):
    """Ten votes were kept in 1.3 s."""
    monkeypatch.setattr(votes, "READING", 60)
    visitor.ask("What is it?")
    assert visitor.vote("a", True)[0] == TEXTS["vote_fast"]["en"]
    monkeypatch.setattr(votes, "READING", 0)
    errors = [visitor.vote("a", True)[0]]
    for number in range(votes.PER_ADDRESS + 1):
        visitor.ask(f"What is {number}?")
        errors.append(visitor.vote("a", True)[0])
    assert errors[-1] == TEXTS["vote_many"]["en"]
