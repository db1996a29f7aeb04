"""A teacher resumes after a kill, and its summaries are learned only without a fault."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import (
    AutoConfig,
    BartConfig,
    BartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from space.catalogue import split_sentences
from space.errors import ModelError
from tests.conftest import tiny_model
from train import pipeline, teacher
from train.__main__ import main
from train.config import FitConfig, SummariesConfig
from train.prepare import load_records, pairs, prepare_catalogue
from train.run import Run

ROOT = Path(__file__).resolve().parents[2]
COLOURS = "blue red green black white yellow brown grey".split()


def content(number: int) -> str:
    return (
        f"This is lamp {number % 10}. It is {COLOURS[number % 8]} and made of the oak. "
        "The light of it is warm. It stands in the room. You may turn it on and off."
    )


def gist(number: int) -> str:
    return f"The lamp is {COLOURS[number % 8]}."


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Path:
    """A run with 24 records of five sentences, and two that are too short for a teacher."""
    run = tmp_path_factory.mktemp("teacher") / "run"
    lines = [
        {"uid": f"u{n}", "title": f"Lamp {n}", "content": f"{content(n)} Its number is {n}."}
        for n in range(24)
    ]
    lines += [
        {"uid": f"s{n}", "title": f"Chair {n}", "content": f"This is a chair. Its number is {n}."}
        for n in range(2)
    ]
    run.parent.mkdir(exist_ok=True)
    source = run.parent / "trn.json"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare_catalogue(str(source), Run(run), progress=False)
    return run


@pytest.fixture
def run(catalogue, tmp_path) -> Path:
    """A copy of that run, for one test."""
    return Path(shutil.copytree(catalogue, tmp_path / "run"))


def tiny_seq2seq(folder: Path, tokenizer, kind: str, seed: int = 0, lessons=()) -> Path:
    """Write a real encoder-decoder, trained on `lessons` (text, summary) if there are any."""
    torch.manual_seed(seed)
    ends = dict(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
        model_name=f"tiny-{kind}",
    )
    if kind == "bart":
        model = BartForConditionalGeneration(
            BartConfig(
                d_model=64,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=4,
                decoder_attention_heads=4,
                encoder_ffn_dim=128,
                decoder_ffn_dim=128,
                max_position_embeddings=256,
                dropout=0.0,
                **ends,
            )
        )
    else:
        model = T5ForConditionalGeneration(
            T5Config(
                d_model=64,
                d_kv=16,
                num_layers=1,
                num_heads=4,
                d_ff=128,
                dropout_rate=0.0,
                n_positions=512,
                task_specific_params={"summarization": {"prefix": "summarize: "}},
                **ends,
            )
        )
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    if lessons:
        given = tokenizer([text for text, _ in lessons], padding=True, return_tensors="pt")
        wanted = tokenizer(
            [summary + tokenizer.eos_token for _, summary in lessons],
            padding=True,
            return_tensors="pt",
        )
        labels = wanted["input_ids"].masked_fill(wanted["attention_mask"] == 0, -100)
        for _ in range(400):
            loss = model(
                input_ids=given["input_ids"], attention_mask=given["attention_mask"], labels=labels
            ).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if loss.item() < 0.01:
                break
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def taught(tmp_path_factory, tokenizer, catalogue) -> Path:
    """A BART that learned good summaries of most texts, and faulty ones of the others."""
    torch.set_num_threads(1)
    records = teacher.long_records(load_records(Run(catalogue)), 99)
    bad = [
        "",
        "12",
        "The oak is blue blue blue blue.",
        "A lâmpada é de carvalho e não é para o jardim.",
        records[4]["content"],
    ]
    lessons = [
        (record["content"], bad[place] if place < len(bad) else gist(int(record["uid"][1:])))
        for place, record in enumerate(records)
    ]
    return tiny_seq2seq(tmp_path_factory.mktemp("bart"), tokenizer, "bart", lessons=lessons)


def config(folder: Path, **more) -> SummariesConfig:
    return SummariesConfig(teacher=str(folder), **{"teacher_batch": 4, **more})


def source(run: Path) -> str:
    """Writes the run's records as a catalogue and returns its path."""
    path = run.parent / "trn.json"
    path.write_text(
        "".join(
            json.dumps({key: record[key] for key in ("uid", "title", "content")}) + "\n"
            for record in load_records(Run(run))
        )
    )
    return str(path)


def lines_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "summaries/teacher.jsonl").read_text().splitlines()]


# --- faults ---


TEXT = (
    "The lamp is made of oak and it is blue. The light is warm and soft. You may turn it on. "
    "It stands in the room."
)


@pytest.mark.parametrize(
    ("summary", "ended", "reason"),
    [
        ("The lamp is blue and of oak.", True, None),
        ("", True, "empty"),
        ("... 12 --", True, "empty"),
        (TEXT, True, "copied"),
        (TEXT.upper()[:-3], False, "copied"),
        (TEXT.replace("room", "large room of it"), True, "longer"),
        ("The lamp is blue and of", False, "unfinished"),
        ("The lamp is very very very blue.", True, "repeats"),
        ("It is the oak of the lamp, of the lamp, of the lamp.", True, "repeats"),
        ("The oak, the oak.", True, None),
        ("A lâmpada é de carvalho e não para.", True, "other_language"),
    ],
)
def test_a_faulty_summary_is_not_learned(summary, ended, reason):
    assert teacher.find_fault(TEXT, summary, ended) == reason
    assert reason is None or reason in teacher.FAULTS


# --- a model summarizes ---


def test_what_a_teacher_writes_is_learned_and_its_failures_are_counted(run, taught, tokenizer):
    report = teacher.teach(Run(run), config(taught, summaries_licence="MIT"), progress=False)
    assert report["read"] == 24 == report["kept"] + sum(report["dropped"].values())
    assert {"empty": 2, "repeats": 1, "other_language": 1, "copied": 1}.items() <= report[
        "dropped"
    ].items()
    assert report["kept"] >= 15 and set(report["dropped"]) <= set(teacher.FAULTS)
    told = {record["uid"]: record for record in load_records(Run(run))}
    for pair in pl.read_parquet(run / "summaries/pairs.parquet").rows(named=True):
        record = told[pair["uid"]]
        assert (pair["text"], pair["split"]) == (record["content"], record["split"]) and len(
            split_sentences(record["content"])
        ) >= 4
        assert teacher.find_fault(pair["text"], pair["summary"], True) is None
    assert gist(0) in {
        pair["summary"]
        for pair in pl.read_parquet(run / "summaries/pairs.parquet").rows(named=True)
    }
    assert (
        "| other_language | 1 | not in its text's language |"
        in (run / "summaries/report.md").read_text()
    )
    assert len(lines_of(run)) == 24
    origin = pairs.summaries_origin(Run(run))
    assert origin["from"] == "the teacher tiny-bart" and origin["teacher"]["revision"].startswith(
        "sha256:"
    )
    assert origin["licence"] == "MIT" and Run(run).data_digest()["summaries"] == report["sha256"]
    examples = pipeline.load_examples(
        Run(run), FitConfig(base="x", summarize=1.0, max_length=400), tokenizer, 512
    )
    learned = {
        example.answer for example in examples.build_training()[0] if example.task == "summarize"
    }
    assert learned <= {pair["summary"] for pair in examples.pairs["train"]} and learned
    again = teacher.teach(Run(run), config(taught, summaries_licence="MIT"), progress=False)
    assert again == report


def test_a_killed_teacher_resumes_and_summarizes_nothing_twice(
    run, taught, tmp_path, monkeypatch, capsys
):
    whole = teacher.teach(Run(run), config(taught), progress=False)
    path = run / "summaries/teacher.jsonl"
    full = path.read_text().splitlines(keepends=True)
    (run / "summaries/report.json").unlink()
    path.write_text(
        "".join(full[:9]) + full[9][:40]
    )  # killed in the third batch, in the middle of a line
    asked, write = [], teacher._summarize
    monkeypatch.setattr(
        teacher, "_summarize", lambda model, texts: (asked.extend(texts), write(model, texts))[1]
    )
    again = teacher.teach(Run(run), config(taught))
    assert "teacher: " in capsys.readouterr().err
    assert (
        len(asked) == 24 - 9
        and again["sha256"] == whole["sha256"]
        and again["dropped"] == whole["dropped"]
    )
    assert sorted(path.read_text().splitlines(keepends=True)) == sorted(full)
    asked.clear()
    assert teacher.teach(Run(run), config(taught), progress=False) == again and asked == []
    assert (
        teacher.teach(Run(run), config(taught, taught=10), progress=False)["read"] == 10
        and asked == []
    )


@pytest.mark.slow
def test_a_real_kill(run, taught):
    call = [
        sys.executable,
        "-m",
        "train",
        "prepare",
        source(run),
        "--run",
        str(run),
        "--teacher",
        str(taught),
        "--teacher-batch",
        "1",
    ]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(
        call, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    path = run / "summaries/teacher.jsonl"
    while first.poll() is None and not (path.is_file() and path.read_bytes().count(b"\n") >= 3):
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not Run(run).summaries_report()
    done = subprocess.run(call, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    marks = [line["mark"] for line in lines_of(run)]
    assert (
        len(marks) == len(set(marks)) == 24
        and "prepare: 24 texts with summaries read" in done.stdout
    )


def test_another_teacher_asks_again(run, taught, tokenizer, tmp_path):
    first = teacher.teach(Run(run), config(taught), progress=False)
    model = BartForConditionalGeneration.from_pretrained(taught)
    model.generation_config.num_beams = 3
    with torch.no_grad():
        model.final_logits_bias[0, 0] -= 1
    model.save_pretrained(tmp_path / "other")
    tokenizer.save_pretrained(tmp_path / "other")
    second = teacher.teach(Run(run), config(tmp_path / "other"), progress=False)
    assert (
        second["teacher"]["revision"] != first["teacher"]["revision"] and len(lines_of(run)) == 48
    )
    assert second["kept"] >= 15


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_a_random_teacher_gives_no_usable_summary(
    run, tokenizer, tmp_path, kind, monkeypatch, capsys
):
    monkeypatch.setattr(teacher, "TOKENS", 12)
    folder = (
        tiny_seq2seq(tmp_path / "t5", tokenizer, "t5")
        if kind == "t5"
        else tiny_model(tmp_path / "llama", tokenizer)
    )
    assert (
        main(["prepare", source(run), "--run", str(run), "--teacher", str(folder), "--taught", "6"])
        == 1
    )
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert (
        line.startswith(f"error: the teacher tiny-{kind} at sha256:")
        and "usable summaries of 6 long contents: " in line
    )
    assert line.endswith("choose another --teacher") and not Run(run).summaries_report()
    assert len(lines_of(run)) == 6 and all(
        entry["fault"] in teacher.FAULTS for entry in lines_of(run)
    )


def test_a_t5_is_told_to_summarize_and_an_overlong_text_is_cut(tokenizer, tmp_path):
    folder = tiny_seq2seq(tmp_path / "t5", tokenizer, "t5")
    loaded = teacher._load(config(folder), AutoConfig.from_pretrained(folder))
    assert loaded.prefix == "summarize: " and loaded.window == 512
    seen = []
    loaded.model.generate = lambda **given: (
        seen.append(given["input_ids"]),
        torch.zeros(2, 3, dtype=torch.long),
    )[1]
    teacher._summarize(loaded, ["A lamp.", "word " * 2000])
    assert seen[0].shape == (2, 512) and tokenizer.decode(seen[0][0]).startswith(
        "summarize: A lamp."
    )


def test_a_teacher_that_is_not_there(run):
    with pytest.raises(
        teacher.TeacherError,
        match=r"teacher \./nowhere is not a folder: give a folder or a Hub id such as",
    ):
        teacher.teach(Run(run), SummariesConfig(teacher="./nowhere"), progress=False)
    with pytest.raises(ModelError, match="teacher acme/nobody cannot be loaded: "):
        teacher.teach(Run(run), SummariesConfig(teacher="acme/nobody"), progress=False)


def test_a_teacher_on_the_hub_is_known_by_its_commit(run, taught, hub):
    repo = hub.create("acme/bart")
    repo.commit({path.name: path.read_bytes() for path in taught.iterdir()})
    report = teacher.teach(Run(run), SummariesConfig(teacher="acme/bart", taught=8), progress=False)
    assert report["teacher"] == {"name": "acme/bart", "revision": repo.head} and report["read"] == 8
    assert (
        pairs.summaries_origin(Run(run))["from"] == "the teacher acme/bart"
        and pairs.summaries_origin(Run(run))["licence"] == "unknown"
    )
