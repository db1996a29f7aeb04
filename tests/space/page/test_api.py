"""space/page/api.py over real HTTP: the endpoints' promise, streaming, cancelling and errors."""

import itertools
import json
import logging
import urllib.error
import urllib.request

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from space.page.ui import build_demo
from space.settings import Settings
from space.texts import TEXTS
from tests.fake_engine import INFO, RECORDS, FakeEngine
from tests.serving import serving

TEXT = {key: text["en"] for key, text in TEXTS.items()}


@pytest.fixture(scope="module")
def served():
    """(engine, address) of a page with a fake engine."""
    engine = FakeEngine(delay=0.02)
    with serving(engine) as address:
        yield engine, address


@pytest.fixture
def engine(served):
    engine = served[0]
    yield engine
    engine.error, engine.notice, engine.delay = None, "", 0.02
    engine.closed.clear()


@pytest.fixture
def client(served, engine):
    return Client(served[1], verbose=False)


def test_the_endpoints_are_the_promised_ones_and_no_more(client):
    endpoints = client.view_api(return_format="dict", print_info=False)
    assert not endpoints["unnamed_endpoints"]
    signatures = {
        name: [
            (
                parameter["parameter_name"],
                parameter["python_type"]["type"],
                parameter["parameter_default"],
            )
            for parameter in endpoint["parameters"]
        ]
        for name, endpoint in endpoints["named_endpoints"].items()
    }
    assert signatures == {
        "/answer": [
            ("question", "str", None),
            ("use_sources", "bool", True),
            ("max_new_tokens", "int", 200),
            ("temperature", "float", 0.0),
            ("language", "str", ""),
        ],
        "/summarize": [
            ("text", "str", None),
            ("max_new_tokens", "int", 120),
            ("temperature", "float", 0.0),
        ],
        "/explain": [
            ("question", "str", None),
            ("answer", "str", None),
            ("use_sources", "bool", True),
            ("language", "str", ""),
        ],
        "/search": [("query", "str", None), ("k", "int", 5)],
        "/info": [],
    }
    results = {
        name: [
            result["python_type"]["type"].split("(")[0].split("[")[0]
            for result in endpoint["returns"]
        ]
        for name, endpoint in endpoints["named_endpoints"].items()
    }
    assert results == {
        "/answer": ["str", "str", "list"],
        "/summarize": ["str", "str"],
        "/explain": ["list"],
        "/search": ["list"],
        "/info": ["dict"],
    }


def test_mcp_tools_say_what_they_do(served):
    with urllib.request.urlopen(f"{served[1]}gradio_api/mcp/schema", timeout=10) as answer:
        tools = {tool["name"]: tool for tool in json.load(answer)}
    assert set(tools) == {"answer", "summarize", "explain", "search", "info"}
    assert "fine-tuned" in tools["answer"]["description"]
    # gradio joins the lines of "Returns:" with commas: each is one output.
    assert tools["summarize"]["description"].endswith(
        ". Returns: the base's summary, the tuned one"
    )
    assert all(
        schema["description"] for schema in tools["answer"]["inputSchema"]["properties"].values()
    )


def test_the_queue_cannot_be_passed_by(served):
    request = urllib.request.Request(
        f"{served[1]}gradio_api/run/answer",
        json.dumps({"data": ["hi"]}).encode(),
        {"Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 404


def test_answer_streams_both_columns_and_the_sources(client, engine):
    job = client.submit("What is a lantern?", api_name="/answer")
    base, tuned, sources = job.result(timeout=30)
    outputs = job.outputs()
    assert len(outputs) > 10
    assert all(
        later[0].startswith(earlier[0]) and later[1].startswith(earlier[1])
        for earlier, later in itertools.pairwise(outputs)
    )
    assert (
        base == f"What is a lantern? {engine.base}"
        and tuned == f"What is a lantern? {engine.tuned}"
    )
    assert sources == RECORDS
    assert engine.calls[-1] == ("answer", "What is a lantern?", True, 200, 0.0)


def test_every_parameter_reaches_the_engine(client, engine):
    assert client.predict("hi", False, 3, 0.5, api_name="/answer")[2] == []
    assert engine.calls[-1] == ("answer", "hi", False, 3, 0.5)
    assert client.predict("long text", 4, 2, api_name="/summarize")[0] == "In short: A lantern"
    assert engine.calls[-1] == ("summarize", "long text", 4, 2.0)
    explained = client.predict("hi", "It is oak.", False, api_name="/explain")
    assert engine.calls[-1] == ("explain", "hi", "It is oak.", False, 200)
    assert [token["token"] for token in explained] == ["It", " is", " oak."]
    client.predict("Dovenka", language="pt", api_name="/answer")
    assert engine.calls[-1] == ("answer", "Dovenka", True, 200, 0.0, "pt")
    client.predict("Dovenka", "It is oak.", language="pt", api_name="/explain")
    assert engine.calls[-1] == ("explain", "Dovenka", "It is oak.", True, 200, "pt")
    assert all(
        set(token) == {"token", "base_logprob", "tuned_logprob", "alternatives"}
        for token in explained
    )
    assert client.predict("lamp", k=2, api_name="/search") == RECORDS[:2]
    assert client.predict(api_name="/info") == INFO


def test_a_notice_does_not_disturb_a_program(client, engine):
    engine.notice = "text_cut"
    assert client.predict("hi", api_name="/answer")[2] == RECORDS


def test_cancelling_closes_the_engines_generator(client, engine):
    engine.delay = 0.1
    job = client.submit("What is a lantern?", api_name="/answer")
    while not job.outputs():
        assert not job.done()
    job.cancel()
    assert engine.closed.wait(10)
    assert client.predict("next", max_new_tokens=1, api_name="/answer")[0] == "next"


@pytest.mark.parametrize(
    ("endpoint", "arguments", "words"),
    [
        ("/answer", {"question": "   "}, "The question is empty. Please write one."),
        (
            "/answer",
            {"question": "x" * 20_001},
            "This question has 20,001 characters; the limit is 20,000",
        ),
        ("/answer", {"question": 5}, "The question must be text."),
        ("/answer", {"question": "hi", "use_sources": "yes"}, "use_sources must be true or false."),
        (
            "/answer",
            {"question": "hi", "max_new_tokens": 0},
            "max_new_tokens must be a whole number from 1 to 2048.",
        ),
        (
            "/answer",
            {"question": "hi", "max_new_tokens": 2049},
            "max_new_tokens must be a whole number from 1 to 2048.",
        ),
        (
            "/answer",
            {"question": "hi", "max_new_tokens": 1.5},
            "max_new_tokens must be a whole number",
        ),
        (
            "/answer",
            {"question": "hi", "max_new_tokens": "many"},
            "max_new_tokens must be a whole number",
        ),
        (
            "/answer",
            {"question": "hi", "temperature": -0.1},
            "temperature must be a number from 0 to 2.",
        ),
        (
            "/answer",
            {"question": "hi", "temperature": 2.1},
            "temperature must be a number from 0 to 2.",
        ),
        (
            "/answer",
            {"question": "hi", "temperature": True},
            "temperature must be a number from 0 to 2.",
        ),
        (
            "/answer",
            {"question": "hi", "language": "fr"},
            'language must be "en", "pt" or empty, not "fr".',
        ),
        ("/summarize", {"text": ""}, "The text is empty. Please write one."),
        (
            "/summarize",
            {"text": "hi", "max_new_tokens": True},
            "max_new_tokens must be a whole number",
        ),
        ("/explain", {"question": "hi", "answer": " "}, "The answer is empty. Please write one."),
        ("/explain", {"question": "", "answer": "hi"}, "The question is empty. Please write one."),
        (
            "/explain",
            {"question": "hi", "answer": "x" * 20_001},
            "This answer has 20,001 characters; the limit is 20,000",
        ),
        ("/explain", {"question": "hi", "answer": None}, "The answer must be text."),
        (
            "/explain",
            {"question": "hi", "answer": "hi", "use_sources": 1},
            "use_sources must be true or false.",
        ),
        ("/search", {"query": ""}, "The query is empty."),
        ("/search", {"query": "hi", "k": 51}, "k must be a whole number from 1 to 50."),
        ("/search", {"query": ["hi"], "k": 5}, "The query must be text."),
    ],
)
def test_bad_input_is_refused_in_words(client, endpoint, arguments, words):
    with pytest.raises(AppError) as caught:
        client.predict(**arguments, api_name=endpoint)
    assert words in str(caught.value)


def test_a_failure_shows_no_internals_and_is_logged(client, engine, caplog):
    engine.error = RuntimeError("CUDA out of memory at /secret/path")
    with caplog.at_level(logging.ERROR, logger="space.page.api"), pytest.raises(AppError) as caught:
        client.predict("hi", api_name="/answer")
    assert TEXT["failed"] in str(caught.value) and "secret" not in str(caught.value)
    assert "secret" in caplog.text and "Traceback" in caplog.text


def test_two_at_once_each_get_their_own(served, engine):
    jobs = {
        question: Client(served[1], verbose=False).submit(question, api_name="/answer")
        for question in ("first", "second")
    }
    for question, job in jobs.items():
        assert job.result(timeout=30)[0].startswith(f"{question} A lantern")


def test_endpoint_defaults_come_from_the_settings():
    info = build_demo(
        FakeEngine(), Settings(max_new_tokens=9, summary_tokens=8, search_k=7)
    ).get_api_info()
    defaults = {
        parameter["parameter_name"] + name: parameter["parameter_default"]
        for name, endpoint in info["named_endpoints"].items()
        for parameter in endpoint["parameters"]
    }
    assert (
        defaults["max_new_tokens/answer"],
        defaults["max_new_tokens/summarize"],
        defaults["k/search"],
    ) == (9, 8, 7)
