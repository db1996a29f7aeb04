"""space/page/watch.py and metrics.py: limits and counts of the page as it is served."""

import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from gradio.context import LocalContext
from gradio_client import Client
from gradio_client.exceptions import AppError

from space.errors import InputError
from space.page.limits import Limits
from space.page.watch import Watched
from space.settings import Settings
from tests.fake_engine import FakeEngine
from tests.serving import serving

DASHBOARD = Path(__file__).resolve().parents[3] / "docs" / "grafana.json"
SECRET = "wherismyzebralamp"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics_of(url: str) -> dict[str, float]:
    lines = get(f"{url}metrics")[1].splitlines()
    values = {}
    for line in lines:
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            values[name] = float(value)
    return values


@pytest.fixture(scope="module")
def engine():
    return FakeEngine(delay=0.002)


@pytest.fixture(scope="module")
def served(engine):
    with serving(engine, metrics=True) as url:
        yield url


def test_health_and_what_waits(served):
    status, text = get(f"{served}healthz")
    assert status == 200
    assert json.loads(text) == {"status": "ok", "version": "1.0.0", "running": 0, "waiting": 0}


def test_calls_are_counted_without_a_word_of_the_visitor(served, engine):
    before = metrics_of(served)
    client = Client(served, verbose=False)
    _, tuned, _ = client.predict(SECRET, api_name="/answer")
    client.predict(SECRET, use_sources=False, api_name="/answer")
    client.predict(SECRET, 9, api_name="/summarize")
    client.predict(SECRET, tuned, api_name="/explain")
    with pytest.raises(AppError):
        client.predict("a" * 30_000, api_name="/answer")
    engine.error = RuntimeError(SECRET)
    with pytest.raises(AppError):
        client.predict(SECRET, api_name="/answer")
    engine.error = None
    after = metrics_of(served)

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown('shelftalk_calls_total{kind="answer",outcome="answered"}') == 2
    assert grown('shelftalk_calls_total{kind="answer",outcome="refused"}') == 1
    assert grown('shelftalk_calls_total{kind="answer",outcome="failed"}') == 1
    assert grown('shelftalk_calls_total{kind="summary",outcome="answered"}') == 1
    assert grown('shelftalk_calls_total{kind="explanation",outcome="answered"}') == 1
    assert grown('shelftalk_errors_total{error="RuntimeError"}') == 1
    assert grown('shelftalk_searched_answers_total{found="yes"}') == 1
    assert grown('shelftalk_first_token_seconds_count{kind="answer"}') == 2
    assert grown('shelftalk_tokens_total{column="tuned"}') >= 2 * len(tuned.split())
    assert sum(grown(f'shelftalk_checked_answers_total{{facts="{each}"}}') for each in FACTS) == 1
    assert after["process_resident_memory_bytes"] > 1e6
    text = get(f"{served}metrics")[1]
    assert SECRET not in text and "127.0.0.1" not in text


FACTS = ("supported", "unmentioned", "contradicted")


def test_a_visitor_who_leaves_is_counted_as_such(served, engine, monkeypatch):
    monkeypatch.setattr(engine, "delay", 0.5)
    before = metrics_of(served)
    job = Client(served, verbose=False).submit("What?", api_name="/answer")
    next(iter(job))
    job.cancel()
    assert engine.closed.wait(20)
    name = 'shelftalk_calls_total{kind="answer",outcome="stopped"}'
    for _ in range(100):
        if metrics_of(served).get(name, 0) == before.get(name, 0) + 1:
            return
        time.sleep(0.1)
    raise AssertionError("the visitor who left was not counted")


def test_the_dashboard_shows_what_there_is(served):
    names = {re.split(r"[{ ]", name)[0] for name in metrics_of(served)}
    # What was never counted has no line but that of its type.
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", get(f"{served}metrics")[1], re.MULTILINE):
        names.add(f"{name}_bucket" if kind == "histogram" else name)
    asked = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            asked |= set(re.findall(r"\b(?:shelftalk|process)_\w+", target["expr"]))
    assert asked and asked <= names, asked - names


def test_metrics_are_served_where_they_are_wanted():
    with serving(FakeEngine(delay=0)) as url:
        assert get(f"{url}healthz")[0] == 200
        assert "shelftalk_calls" not in get(f"{url}metrics")[1]


def test_a_visitor_who_asks_too_often_is_told_when_to_come_back():
    with serving(FakeEngine(delay=0), requests_per_minute=2) as url:
        client = Client(url, verbose=False)
        for _ in range(2):
            client.predict("What?", api_name="/answer")
        with pytest.raises(AppError, match=r"again in \d+ seconds"):
            client.predict("What?", api_name="/answer")
        with pytest.raises(AppError, match=r"again in \d+ seconds"):
            client.predict("What?", "It.", api_name="/explain")
        assert client.predict("lamp", api_name="/search")


def test_the_rest_is_the_engines_own():
    engine = FakeEngine()
    watched = Watched(engine, Limits(Settings()))
    assert watched.examples(1) == engine.examples(1) and watched.at_once == 1
    assert (
        list(watched.answer("What?", True, 5, 0.0))[-1]
        == list(engine.answer("What?", True, 5, 0.0))[-1]
    )


def test_the_pages_summaries_are_limited_and_counted_as_the_endpoints():
    served = []
    settings = Settings(requests_per_minute=1)
    engine = Watched(FakeEngine(), Limits(settings), served.append)
    caller = SimpleNamespace(client=SimpleNamespace(host="203.0.113.7"), session_hash="")
    before = LocalContext.request.set(caller)  # pyright: ignore[reportArgumentType]
    try:
        for _ in range(4):  # an address has as much as four sessions
            list(engine.write_summaries("A lamp.", 9, 0.0))
        with pytest.raises(InputError):
            list(engine.write_summaries("A lamp.", 9, 0.0))
    finally:
        LocalContext.request.reset(before)
    assert [each.kind for each in served] == ["summary"] * 5
    assert [each.outcome for each in served] == ["answered"] * 4 + ["refused"]
