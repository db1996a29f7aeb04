"""examples/: each program, copied alone into an empty folder, against the real app with the
committed sample.
"""

import ast
import http.client
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from gradio_client.utils import Status

from tests.fake_engine import FakeEngine
from tests.serving import serving_demo
from tests.test_end_to_end import ROOT, learned_title, serving
from tests.toy import TOY
from train.prepare import load_records
from train.prepare.catalogue import prepare_catalogue
from train.run import Run

EXAMPLES = ROOT / "examples"
pytestmark = pytest.mark.slow
QUEUE = 2  # visitors who may wait at the served app
TOKEN = "hf_not_a_real_token"
LONG = {
    "max_new_tokens": 400,
    "temperature": 2.0,
}  # an answer of nothing but noise, which seldom ends by itself
CALLERS = ("call_with_client.py", "call_with_http.py", "call_as_mcp_tool.py")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("app"), QUEUE_SIZE=str(QUEUE)) as address:
        yield address


@pytest.fixture(scope="module")
def question():
    return learned_title()


@pytest.fixture
def run(tmp_path):
    """Runs a copy of an example in an empty folder, as its reader would; `missing` is a package
    that is not installed.
    """

    def run(name, *arguments, missing=None, **environ):
        shutil.copy(EXAMPLES / name, tmp_path)
        program = [name]
        if missing:
            program = [
                "-c",
                f"import runpy, sys; sys.modules[{missing!r}] = None; del sys.argv[0]; "
                "runpy.run_path(sys.argv[0], run_name='__main__')",
                name,
            ]
        return subprocess.run(
            [sys.executable, *program, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=200,
        )

    return run


@pytest.fixture(scope="module")
def expected(address, question):
    """(base, tuned, records) that the app answers the question with."""
    return Client(address, verbose=False).predict(question, api_name="/answer")


# --- each stands alone ---


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_names_all_that_it_needs(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    needed = {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names)
    installed = re.search(r"pip install ([^#\n]*)", ast.get_docstring(tree))
    assert needed == set(re.findall(r"[a-z_]+", installed[1]) if installed else ())
    assert f"python {path.name} " in ast.get_docstring(tree)


def test_the_readme_lists_every_example():
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".sh"):
            assert f"]({path.name})" in table


# --- calling the Space ---


def test_the_client_asks_watches_and_stops(run, address, question, expected):
    done = run("call_with_client.py", address, question)
    assert done.returncode == 0, done.stderr
    base, tuned, records = expected
    said = done.stdout.splitlines()
    assert said[0] == "shelftalk-sample with toy, nf4 on cpu"
    assert (
        f"base:  {base}" in said and f"tuned: {tuned}" in said and f"as it grows: {tuned}" in said
    )
    assert f"  [1] {records[0]['title']} (1.00)" in said
    stopped = said[-1].removeprefix("stopped half-way: ").removesuffix(" ...")
    assert tuned.startswith(stopped) and 3 <= len(stopped.split()) < len(tuned.split())


def test_plain_http_gets_the_same(run, address, question, expected):
    base, tuned, records = expected
    done = run("call_with_http.py", address, question)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == tuned and said[1] == f"base: {base}" and records[0]["title"] in said[2]
    assert tuned.startswith(said[3].removeprefix("stopped half-way: ").removesuffix(" ..."))
    assert said[4].startswith(f"search: ['{records[0]['title']}', ")


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_gets_the_same(address, question, expected):
    done = subprocess.run(
        ["sh", EXAMPLES / "call_with_curl.sh", address, question], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("event: generating") > 10
    assert done.stdout.rstrip().endswith("event: complete\ndata: " + json.dumps(list(expected)))


def test_the_mcp_tools_are_listed_and_called(run, address, question, expected):
    base, tuned, records = expected
    done = run("call_as_mcp_tool.py", address, question)
    assert done.returncode == 0, done.stderr
    listed, called = done.stdout.split("\n\n")
    assert [line.split(":")[0] for line in listed.splitlines() if not line.startswith(" ")] == [
        "answer",
        "summarize",
        "explain",
        "search",
        "info",
    ]
    assert all(line.split(": ", 1)[1] for line in listed.splitlines())
    said = called.splitlines()
    assert said[:2] == [f"base:  {base}", f"tuned: {tuned}"] and records[0]["title"] in said[2]
    assert said[3].startswith("explain: fine-tuning raised '") and " most, from " in said[3]
    assert said[4] == f"search: {records[0]['title']} (1.00)"
    assert said[5].removeprefix("summary: ") and said[6] == "info: shelftalk-sample"


# gradio watches a Space's files with a package that is not installed here, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_mcp_tools_are_found_by_the_names_that_they_have_on_a_space(run, monkeypatch):
    from space.page.ui import build_demo, launch_options
    from space.settings import Settings
    from tests.fake_engine import TUNED, FakeEngine

    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "user/shop-talk")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(port=probe.getsockname()[1])
    demo = build_demo(FakeEngine(), settings)
    demo.launch(**launch_options(settings), prevent_thread_lock=True, quiet=True)
    try:
        done = run("call_as_mcp_tool.py", f"http://127.0.0.1:{settings.port}", "What is it?")
    finally:
        demo.close()
    assert done.returncode == 0, done.stderr
    assert (
        "\nshop_talk_search: " in done.stdout and f"\ntuned: What is it? {TUNED}\n" in done.stdout
    )


# --- stopping, refusals, a full queue ---


def seconds(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


@pytest.fixture(scope="module")
def whole(address, question):
    """Seconds that the long answer takes where nobody stops it."""
    client = Client(address, verbose=False)
    return seconds(lambda: client.predict(question, api_name="/answer", **LONG))


def test_stopping_with_the_client_frees_the_space(address, question, whole):
    example, client = (
        runpy.run_path(EXAMPLES / "call_with_client.py"),
        Client(address, verbose=False),
    )
    assert example["stop_half_way"](client, question, 1, **LONG)
    assert seconds(lambda: example["ask"](client, question, max_new_tokens=1)) < whole / 3


def test_stopping_over_plain_http_frees_the_space(address, question, whole):
    call = runpy.run_path(EXAMPLES / "call_with_http.py")["call"]
    answers = call(address, "answer", question=question, **LONG)
    next(answers), next(answers)
    answers.close()
    assert (
        seconds(lambda: list(call(address, "answer", question=question, max_new_tokens=1)))
        < whole / 3
    )


@pytest.mark.parametrize("name", CALLERS)
def test_a_refusal_is_in_the_spaces_words(run, address, name):
    long = "why " * 6000
    for question, words in (
        ("", "The question is empty. Please write one."),
        (
            long,
            "This question has 24,000 characters; the limit is 20,000. Please send a shorter one.",
        ),
    ):
        done = run(name, address, question)
        assert done.returncode == 1 and done.stderr.endswith(f"The Space refused: {words}\n"), (
            done.stderr
        )


def test_a_refusal_is_not_lost_while_watching(address):
    watch = runpy.run_path(EXAMPLES / "call_with_client.py")["watch"]
    with pytest.raises(AppError, match="The question is empty"):
        list(watch(Client(address, verbose=False), ""))


class Broken(BaseHTTPRequestHandler):
    """A Space that goes away in the middle of an answer."""

    def do_POST(self, said=b'{"event_id": "1"}'):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said)

    def do_GET(self):
        self.do_POST(b'event: generating\ndata: ["a", "a", []]\n\n')

    def log_message(self, *_):
        """Keeps the tests' output clean."""


def test_half_an_answer_is_not_taken_for_a_whole_one():
    example = runpy.run_path(EXAMPLES / "call_with_http.py")
    with listening(Broken) as address:
        answers = example["call"](address, "answer", question="What is it?")
        assert next(answers) == ["a", "a", []]
        with pytest.raises(example["Refused"], match="broke off"):
            next(answers)


@contextmanager
def listening(handler):
    """Serves a handler's class on a free port and yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def crowded():
    """The address of a page where one visitor is being answered and as many as may are waiting."""
    # Answers so slow that no place comes free meanwhile.
    engine = FakeEngine(delay=4)
    with serving_demo(engine, queue_size=QUEUE) as demo:
        jobs = []
        for client in [Client(demo.local_url, verbose=False) for _ in range(QUEUE + 1)]:
            jobs.append(client.submit("lantern", api_name="/answer"))
            time.sleep(0.5)  # so that the first is being answered before the others wait
        waiting = 0
        while waiting < QUEUE:
            time.sleep(0.05)
            waiting = [job.status().code for job in jobs].count(Status.IN_QUEUE)
        yield demo.local_url
        engine.delay = 0.0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "call_with_client.py",
            "The Space has as many visitors as it takes. Try again in a moment.",
        ),
        (
            "call_with_http.py",
            'HTTP 503: {"detail":"As many visitors are waiting as there is room for. Please try '
            'again in a minute."}',
        ),
        (
            "call_as_mcp_tool.py",
            "The Space refused: Queue is full! Please try again.",
        ),
    ],
)
def test_a_full_queue_is_told(run, crowded, name, words):
    done = run(name, crowded, "lantern")
    assert done.returncode == 1 and done.stderr.endswith(f"{words}\n"), done.stderr


# --- a private Space ---


class Door(BaseHTTPRequestHandler):
    """What a private Space looks like from outside: the Hub's word on where it is, and the app,
    both for its token only.
    """

    app = ""

    def do_GET(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if f"Bearer {TOKEN}" not in (
            self.headers.get("Authorization"),
            self.headers.get("X-HF-Authorization"),
        ):
            self.send_error(401)
        elif self.path.startswith("/api/spaces/user/shop"):
            here = f"http://{self.headers['Host']}"
            runtime = {
                "stage": "RUNNING",
                "hardware": {"current": "cpu-basic", "requested": "cpu-basic"},
            }
            said = (
                runtime
                if self.path.endswith("/runtime")
                else {"id": "user/shop", "private": True, "host": here}
            )
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())
        else:
            self.pass_on(sent)

    do_POST = do_GET
    do_DELETE = do_GET

    def pass_on(self, sent):
        """Streams what the app answers."""
        inside = http.client.HTTPConnection(self.app, timeout=60)
        inside.request(self.command, self.path, sent, dict(self.headers))
        answer = inside.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.end_headers()
        while part := answer.read1(65536):
            self.wfile.write(part)

    def log_message(self, *_):
        """Keeps the tests' output clean."""


@pytest.fixture(scope="module")
def private(address):
    """The address at which the app is a private Space."""
    Door.app = urlsplit(address).netloc
    with listening(Door) as outside:
        yield outside


@pytest.mark.parametrize("name", CALLERS)
def test_a_private_space_answers_who_has_its_token(run, private, question, expected, name):
    space = "user/shop" if name == "call_with_client.py" else private
    hub = {"HF_ENDPOINT": private, "HF_HUB_OFFLINE": "0"}
    done = run(name, space, question, HF_TOKEN=TOKEN, **hub)
    assert done.returncode == 0 and expected[1] in done.stdout, done.stderr
    done = run(name, space, question, HF_TOKEN="hf_wrong", **hub)
    assert done.returncode == 1 and "401" in done.stderr and not done.stdout


# --- the adapter ---


def test_the_adapter_says_what_the_page_says(run, address, question):
    page = Client(address, verbose=False).predict(question, use_sources=False, api_name="/answer")[
        1
    ]
    done = run("load_adapter.py", TOY / "base", TOY / "adapter", question)
    assert done.returncode == 0, done.stderr
    assert done.stdout == page + "\n"
    plain = run("load_adapter.py", TOY / "base", TOY / "adapter", question, missing="bitsandbytes")
    assert plain.returncode == 0, plain.stderr
    assert len(set(plain.stdout.split()) & set(page.split())) > len(set(page.split())) / 2


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A run's folder with the committed adapter, and metrics.json and samples.jsonl of a few items
    as evaluate writes them.
    """
    from space.model.pair import load_pair
    from train.config import EvaluateConfig, FitConfig
    from train.evaluate import score as evaluate
    from train.evaluate.metrics import score_items
    from train.evaluate.statistics import compute_metrics
    from train.pipeline import load_examples

    folder = tmp_path_factory.mktemp("run")
    for part in ("adapter", "catalogue"):
        shutil.copytree(TOY / part, folder / part)
    fit = FitConfig(
        **json.loads((folder / "adapter/run.json").read_text())["config"]
        | {"base": str(TOY / "base")}
    )
    pair, config = load_pair(fit.base, str(folder / "adapter")), EvaluateConfig(items=3)
    examples = load_examples(Run(folder), fit, pair.tokenizer, pair.window, pair.prompt_template)
    columns = {
        name: evaluate.score_column(Run(folder), pair, examples, config, name)
        for name in ("base", "tuned")
    }
    items = score_items(evaluate.collect_samples(examples, config, columns), pair.prompt_template)
    lines = [json.dumps(item.to_json()) + "\n" for item in items]
    (folder / "samples.jsonl").write_text("".join(lines))
    (folder / "metrics.json").write_text(json.dumps(compute_metrics(items, list(columns))))
    return folder


def test_an_evaluation_elsewhere_agrees_with_the_runs_own(run, evaluated):
    done = run("evaluate_adapter.py", TOY / "base", evaluated / "adapter")
    assert done.returncode == 0, done.stderr
    found = re.findall(
        r"(\w+) +(published|asked here) +(\d+) +([\d.]+) +([\d.]+) +(\S+) \[(\S+), (\S+)\]",
        done.stdout,
    )
    rows = {row[:2]: [float(value) for value in row[2:]] for row in found}
    metrics = json.loads((evaluated / "metrics.json").read_text())
    del metrics["kept"]  # scored by rules, without a reference
    for name, scores in metrics.items():
        change = scores["difference"]["rougeL"]
        published = [
            scores["n"],
            scores["base"]["rougeL"],
            scores["tuned"]["rougeL"],
            change["mean"],
        ]
        assert rows[name, "published"][:4] == pytest.approx(published, abs=0.001)
        # Its draws are its own.
        assert rows[name, "published"][4:] == pytest.approx(
            [change["low"], change["high"]], abs=0.02
        )
    asked = {name: row for (name, answers), row in rows.items() if answers == "asked here"}
    assert set(asked) == {"seen", "unseen", "summary"} and len(rows) == len(metrics) + len(asked)
    for name, row in asked.items():
        assert row == pytest.approx(rows[name, "published"], abs=0.02)


def test_an_evaluation_of_a_few_items_of_an_adapter_as_it_lies_on_the_hub(
    tmp_path, capsys, evaluated
):
    main = runpy.run_path(EXAMPLES / "evaluate_adapter.py")["main"]
    shutil.copytree(evaluated / "adapter", tmp_path / "hub")
    with pytest.raises(SystemExit, match=r"has no samples\.jsonl"):
        main(str(TOY / "base"), str(tmp_path / "hub"), 1)
    lines = (evaluated / "samples.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "hub/samples.jsonl").write_text("".join(line for line in lines if '"seen"' in line))
    main(str(TOY / "base"), str(tmp_path / "hub"), 1)
    _, published, asked = capsys.readouterr().out.splitlines()
    assert published.split()[:3] == ["seen", "published", "1"] and asked.split()[:4] == [
        "seen",
        "asked",
        "here",
        "1",
    ]


# --- the catalogue ---


def test_the_example_catalogue_is_a_natural_shop(tmp_path):
    """420 products written by hand, a fifth in Portuguese, and the dirt of a real file."""
    report = prepare_catalogue(
        str(ROOT / "examples" / "catalogue"), Run(tmp_path / "run"), progress=False
    )
    assert report["read"] == 444 and report["kept"] == 428 and report["uids_made"] == 0
    assert report["dropped"] == {"no_content": 8, "duplicate_title": 8}
    assert report["repaired"]["entities"]["texts"] == 8
    assert 0.15 < report["languages"]["pt"] / sum(report["languages"].values()) < 0.25
    contents = [record["content"] for record in load_records(Run(tmp_path / "run"))]
    assert all(25 <= len(content.split()) <= 125 for content in contents)
    openings = Counter(" ".join(content.split()[:3]).lower() for content in contents)
    assert openings.most_common(1)[0][1] <= 2
