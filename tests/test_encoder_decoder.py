"""T5 and BART through every command and the page, like any other base."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from space.model.decode import complete, decode_text
from space.model.pair import load_pair
from space.model.prompt import prompt_ids
from tests.encoder_decoder import tiny_base
from tests.test_end_to_end import serving
from train.__main__ import main

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
COLOURS = "blue red green black white yellow brown grey".split()


def trained(folder: Path, kind: str, steps: int, **options) -> Path:
    """A run through `all`: eight lamps to learn by heart, and sixteen more."""
    lines = [
        {
            "uid": f"u{n}",
            "title": f"Lamp {n}",
            "content": f"It is {COLOURS[n % 8]}. It is of oak. It is warm. "
            f"It has {COLOURS[n // 3]} legs. Its number is {n}.",
        }
        for n in range(24)
    ]
    (folder / "trn.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    base = tiny_base(folder / "base", kind, quiet=True)
    chosen = {
        "learn": 8,
        "epochs": 400,
        "max-steps": steps,
        "rank": 16,
        "batch-size": 8,
        "items": 2,
        "shots": 1,
        "answer-tokens": 60,
        "learning-rate": 5e-3,
    } | options
    assert (
        main(
            [
                "all",
                str(folder / "trn.json"),
                "--run",
                str(folder / "shop"),
                "--base",
                str(base),
                *(str(part) for name, value in chosen.items() for part in (f"--{name}", value)),
            ]
        )
        == 0
    )
    return folder / "shop"


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    """A T5 that learned its eight lamps."""
    return trained(
        tmp_path_factory.mktemp("t5"), "t5", 120, **{"answers": 0, "follow-ups": 0, "summarize": 0}
    )


@pytest.fixture(scope="module")
def bart(tmp_path_factory):
    """A BART of a few steps on all tasks."""
    return trained(tmp_path_factory.mktemp("bart"), "bart", 2)


def test_all_trains_and_scores_every_column_and_tuned_beats_base(t5):
    metrics = json.loads((t5 / "metrics.json").read_text())
    assert {"seen", "unseen", "grounded", "summary"} <= set(metrics)
    assert {"base", "few_shot", "retrieved", "tuned"} <= set(metrics["seen"])
    assert metrics["seen"]["tuned"]["loss"] < metrics["seen"]["base"]["loss"] / 3
    assert metrics["seen"]["tuned"]["token_f1"] > metrics["seen"]["base"]["token_f1"]
    assert metrics["seen"]["difference"]["loss"]["high"] < 0
    assert (t5 / "report.html").is_file() and json.loads((t5 / "adapter/run.json").read_text())[
        "tokens"
    ] > 1000


def test_it_is_published_compared_and_merged_like_any_other(bart, t5, capsys, tmp_path):
    assert main(["publish", "--run", str(bart), "--to", "me/shop", "--dry-run"]) == 0
    assert "adapter_model.safetensors" in capsys.readouterr().out
    assert main(["compare", str(bart), str(t5), "--out", str(tmp_path / "compare.html")]) == 0
    assert (
        main(["merge", "--run", str(bart), "--out", str(tmp_path / "merged"), "--items", "1"]) == 0
    )
    told = json.loads((tmp_path / "merged/merge.json").read_text())
    assert "no Modelfile, since Ollama does not run an encoder-decoder" in capsys.readouterr().out
    assert told["questions"] >= 4 and not (tmp_path / "merged/Modelfile").exists()
    settings = json.loads((tmp_path / "merged/generation_config.json").read_text())
    assert (
        settings["decoder_start_token_id"],
        settings["forced_bos_token_id"],
        settings["eos_token_id"],
    ) == (2, 0, [2])
    snippets = re.findall(
        r"```python\n(.*?)```", (tmp_path / "merged/README.md").read_text(), re.DOTALL
    )
    done = subprocess.run(
        [sys.executable, "-c", snippets[0]],
        cwd=tmp_path / "merged",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert len(snippets) == 1 and done.returncode == 0 and done.stdout, done.stderr[-2000:]


def test_every_snippet_of_the_card_runs_and_says_what_the_page_says(t5, tmp_path):
    card = (t5 / "adapter/README.md").read_text()
    assert (
        "AutoPeftModelForSeq2SeqLM" in card and "CausalLM" not in card and "vllm serve" not in card
    )
    (tmp_path / "adapter").symlink_to(t5 / "adapter")
    (tmp_path / "tiny-t5").symlink_to(t5.parent / "base")
    programs = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(programs) == 2
    question = json.loads((t5 / "samples.jsonl").read_text().splitlines()[0])["question"]
    calls = [
        *(["-c", program] for program in programs),
        [ROOT / "examples/load_adapter.py", "tiny-t5", "adapter", question],
    ]
    started = [
        subprocess.Popen(
            [sys.executable, *call],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for call in calls
    ]
    said, wrong = zip(*(process.communicate(timeout=120) for process in started), strict=True)
    assert not any(process.returncode for process in started), [words[-2000:] for words in wrong]
    pair = load_pair(str(t5.parent / "base"), str(t5 / "adapter"))
    prompt = prompt_ids(pair.tokenizer, pair.prompt_template, "describe", question)
    page = decode_text(pair, complete(pair, [prompt], 60, tuned=True)[0])
    assert page and said[0].strip() and said[1].strip() == page and said[2].strip().startswith(page)


def test_it_answers_summarizes_and_explains_over_http(t5, tmp_path):
    from gradio_client import Client

    with serving(
        tmp_path,
        BASE_MODEL=str(t5.parent / "base"),
        ADAPTER=str(t5 / "adapter"),
        CATALOGUE=str(t5 / "catalogue"),
    ) as address:
        client = Client(address, verbose=False)
        assert client.predict(api_name="/info")["base"] == "tiny-t5"
        seen = next(
            line
            for line in map(json.loads, (t5 / "samples.jsonl").read_text().splitlines())
            if line["set"] == "seen"
        )
        base, tuned, none = client.predict(seen["question"], False, 40, 0.0, api_name="/answer")
        assert tuned and seen["tuned"].startswith(tuned) and base != tuned and none == []
        steps = list(client.submit(seen["question"], True, 12, 0.0, api_name="/answer"))
        assert len(steps) > 3 and steps[-1][2][0]["title"] in seen["question"]
        records = client.predict(seen["question"], tuned, False, api_name="/explain")
        assert "".join(record["token"] for record in records) == tuned
        assert sum(record["tuned_logprob"] - record["base_logprob"] for record in records) > 0
        assert client.predict("It is blue. " * 300, 8, 0.0, api_name="/summarize")


def test_an_adapter_that_lost_its_template_still_loads_with_its_familys(t5, tmp_path):
    folder = shutil.copytree(t5 / "adapter", tmp_path / "run/adapter")
    (folder / "chat_template.jinja").unlink()
    pair = load_pair(str(t5.parent / "base"), str(folder))
    assert (
        prompt_ids(pair.tokenizer, pair.prompt_template, "describe", "What?")[-1]
        == pair.tokenizer.eos_token_id
    )
