"""The whole journey with the real program: the committed sample over HTTP, a foreign base, and the
adapter elsewhere.
"""

import hashlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from space.catalogue.text import detect_language
from space.engine import load_engine
from space.errors import CatalogueError, ModelError
from space.page.missing import one_line
from space.settings import Settings
from tests.toy import TOY
from train.prepare.catalogue import read_records

ROOT = Path(__file__).resolve().parent.parent
# What is served where a test names nothing else.
SERVED = {
    "BASE_MODEL": str(TOY / "base"),
    "ADAPTER": str(TOY / "adapter"),
    "CATALOGUE": str(TOY / "catalogue"),
}
pytestmark = pytest.mark.slow


@contextmanager
def serving(tmp_path, **environ):
    """Starts app.py on a free port and yields its address; stops it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "app.log"
    models = {} if "ADAPTER" in environ else SERVED
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PORT": str(port)} | models | environ,
        )
        try:
            for _ in range(300):
                assert process.poll() is None, log.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait(20)


def learned_title():
    """A title that the committed adapter learned: the first question of its card."""
    card = (TOY / "adapter" / "README.md").read_text()
    return card.split('content="')[1].split('"')[0]


def learned_records(count):
    """Short English records that the committed adapter learned, in the order of learning."""
    learn = json.loads((TOY / "adapter" / "run.json").read_text())["config"]["learn"]
    records = [record for record in read_records(TOY / "catalogue") if record["split"] == "train"]
    records.sort(key=lambda record: hashlib.sha256(record["uid"].encode()).digest())
    short = (
        record
        for record in records[:learn]
        if detect_language(record["content"]) == "en" and len(record["content"]) < 300
    )
    return list(itertools.islice(short, count))


def test_the_toy_answers_over_http(tmp_path):
    from gradio_client import Client

    with serving(tmp_path) as address:
        client = Client(address, verbose=False)
        info = client.predict(api_name="/info")
        assert info["base"] == "shelftalk-sample" and info["precision"] == "nf4"
        question = learned_title()
        steps = list(client.submit(question, True, 120, 0.0, api_name="/answer"))
        assert len(steps) > 5
        base, tuned, sources = steps[-1]
        assert base and tuned and base != tuned
        assert "[1]" in tuned and {"uid", "title", "content", "score"} == set(sources[0])
        title = sources[0]["title"]
        assert title in question and title in tuned
        # From memory: no records, and yet the facts of the record, for nearly all that it learned.
        remembered = 0
        for record in learned_records(5):
            _, said, none = client.predict(
                f"What is {record['title']}?", False, 200, 0.0, api_name="/answer"
            )
            facts = set(record["content"].split())
            remembered += len(facts & set(said.split())) > 0.6 * len(facts)
            assert none == []
        assert remembered >= 3
        assert client.predict(title, 3, api_name="/search")[0]["title"] == title
        summaries = list(client.submit(sources[0]["content"] * 3, api_name="/summarize"))
        assert summaries[-1][0] and summaries[-1][1]


def test_a_base_that_none_of_us_made(tmp_path, shared):
    """Real titles, a real pretrained base without a chat template, from the file to the page."""
    from gradio_client import Client

    base = shared / "models" / "TinyStories-656K"
    run = tmp_path / "head"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "train",
            "all",
            str(shared / "data/trn-head-300.jsonl"),
            "--run",
            str(run),
            "--base",
            str(base),
            "--max-steps",
            "4",
            "--items",
            "4",
            "--learn",
            "40",
            "--answer-tokens",
            "60",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "unseen" in done.stdout and "Traceback" not in done.stderr
    question = json.loads((run / "samples.jsonl").read_text().splitlines()[0])["question"]
    with serving(
        tmp_path,
        BASE_MODEL=str(base),
        ADAPTER=str(run / "adapter"),
        CATALOGUE=str(run / "catalogue"),
    ) as address:
        client = Client(address, verbose=False)
        assert client.predict(api_name="/info")["base"] == "TinyStories-656K"
        _, _, sources = client.predict(question, True, 16, 0.0, api_name="/answer")
        assert sources and sources[0]["title"] in question


def test_the_adapter_loads_in_an_empty_folder_with_peft_and_transformers_alone(tmp_path):
    program = f"""
import sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base = AutoModelForCausalLM.from_pretrained({str(TOY / "base")!r})
tokenizer = AutoTokenizer.from_pretrained({str(TOY / "adapter")!r})
model = PeftModel.from_pretrained(base, {str(TOY / "adapter")!r})
chat = [dict(role="user", content={learned_title()!r})]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt",
return_dict=True)
out = model.generate(**ids, max_new_tokens=100, do_sample=False)
print(tokenizer.decode(out[0][ids["input_ids"].shape[1]:], skip_special_tokens=True))
assert not any(name.split(".")[0] in ("space", "train") for name in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    title = learned_title().rstrip("?.").split()[-2:]
    assert all(word in done.stdout for word in title), done.stdout


def test_a_wrong_setting_is_one_line():
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "PORT": "many", "PRECISION": "int3"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in ("PORT is 'many'", "PRECISION is 'int3'"))


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (
            {"BASE_MODEL": "./nowhere", "ADAPTER": str(TOY / "adapter")},
            "base ./nowhere is not a folder",
        ),
        (SERVED | {"CATALOGUE": "./nowhere"}, "nowhere"),
    ],
)
def test_a_setting_of_nothing_is_one_line(environ, words):
    with pytest.raises((ModelError, CatalogueError)) as caught:
        load_engine(Settings.from_environment(environ))
    assert words in one_line(caught.value) and "\n" not in one_line(caught.value)
