"""Summarization sets: cleaned, counted, split without a leak, and what a run makes of them."""

import json
import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from space.catalogue.search import Catalogue
from space.catalogue.text import detect_language, normalise
from space.model.prompt import fit_prompt
from space.model.prompt_template import PromptTemplate
from tests.options import QUICK_FIT, QUICK_SCORE
from tests.scored import metrics_of
from tests.toy import TOY
from train import pipeline
from train.__main__ import main
from train.config import ConfigError, FitConfig, PrepareConfig, SummariesConfig
from train.evaluate import plots, report
from train.examples.contamination import check_contamination, exclude_shared_texts
from train.examples.examples import Examples
from train.examples.few_shot import add_few_shot
from train.examples.summaries import take_lead
from train.fit import training
from train.prepare import pairs
from train.prepare.catalogue import load_records, prepare_catalogue
from train.prepare.source import SourceError
from train.run import Run
from train.shop import write_catalogue

WORDS = (
    "river market council winter bridge school train garden museum doctor island forest engine "
    "letter window"
).split()


def story(number: int) -> str:
    """A text of eight sentences that no other number has."""
    draw = random.Random(number)
    return " ".join(
        f"The {draw.choice(WORDS)} of case {number} and the {draw.choice(WORDS)} were seen by "
        f"{place} people."
        for place in range(8)
    )


def rows(count: int) -> list[dict]:
    return [
        {
            "document": story(number),
            "gist": f"Case {number} was about the {WORDS[number % 15]}.",
            "id": number,
        }
        for number in range(count)
    ]


def write(path: Path, lines: list[dict]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def config(source: str, **more) -> SummariesConfig:
    return SummariesConfig(
        **{"summaries": source, "text_column": "document", "summary_column": "gist"} | more
    )


def made(tmp_path: Path, lines: list[dict], **more) -> dict:
    return pairs.prepare_pairs(
        Run(tmp_path / "run"), config(write(tmp_path / "set.jsonl", lines), **more), progress=False
    )


def table(run: Path) -> list[dict]:
    return pl.read_parquet(run / "summaries" / "pairs.parquet").rows(named=True)


# --- a set becomes pairs ---------------------------------------------------------------------


def test_every_row_is_kept_or_counted_with_its_reason(tmp_path):
    bad = {
        "no_text": {"document": "", "gist": "Nothing was there."},
        "no_summary": {"document": story(900), "gist": " &nbsp; "},
        "junk_summary": {"document": story(901), "gist": "-- 12 --"},
        "longer": {
            "document": "It was a short one.",
            "gist": "It was a short one, but this says much more of it.",
        },
        "junk": {"document": "The same words here.", "gist": "the same words here."},
        "duplicate_summary": {"document": story(902), "gist": "CASE 3 was about the winter"},
        "duplicate_text": {"document": story(4).upper(), "gist": "Another summary of it."},
        "too_short": {"document": "Two words", "gist": "One"},
    }
    report = made(tmp_path, [*rows(40), *bad.values()])
    assert report["read"] == 48 and report["kept"] == 40 == sum(report["splits"].values())
    assert report["dropped"] == dict.fromkeys(bad, 1)
    assert report["examples"]["longer"] == [
        {"file": "set.jsonl", "line": 44, "text": report["examples"]["longer"][0]["text"]}
    ]
    page = (tmp_path / "run/summaries/report.md").read_text()
    assert all(f"| {reason} | 1 |" in page for reason in bad) and "Licence: unknown" in page
    assert report["languages"] == {"en": 40} and report["repaired"]["white_space"]["texts"] == 1


def test_pairs_are_cleaned_as_a_catalogue_is(tmp_path):
    lines = rows(3)
    lines[1] = {
        "document": f"<p>Tom &amp; Ann saw the cafÃ©.</p>\n\n{lines[1]['document']}",
        "gist": "A&nbsp;<b>cafÃ©</b> was seen.",
    }
    made(tmp_path, lines)
    pair = next(pair for pair in table(tmp_path / "run") if "café" in pair["text"])
    assert (
        pair["text"].startswith("Tom & Ann saw the café. The")
        and pair["summary"] == "A café was seen."
    )


def test_the_split_follows_the_text_and_leaves_no_side_empty(tmp_path):
    report = made(tmp_path, rows(200), held_out=0.3)
    sides = {pair["text"]: pair["split"] for pair in table(tmp_path / "run")}
    assert 40 < report["splits"]["unseen"] < 80
    made(tmp_path / "again", list(reversed(rows(120))), held_out=0.3)
    again = {pair["text"]: pair["split"] for pair in table(tmp_path / "again/run")}
    assert len(again) == 120 and all(sides[text] == side for text, side in again.items())
    for share in (0.01, 0.9):
        few = made(tmp_path / str(share), rows(2), held_out=share)
        assert few["splits"] == {"train": 1, "unseen": 1}


def test_near_duplicates_are_on_one_side(tmp_path):
    lines = [
        {
            "document": f"{story(number)} Version {turn}.",
            "gist": f"Case {number}, told for the time {turn}.",
        }
        for number in range(30)
        for turn in range(3)
    ]
    assert made(tmp_path, lines, held_out=0.4)["near_duplicates"] == 90
    sides = {}
    for pair in table(tmp_path / "run"):
        sides.setdefault(pair["text"].partition(" Version")[0], set()).add(pair["split"])
    assert len(sides) == 30 and all(len(found) == 1 for found in sides.values())
    assert set.union(*sides.values()) == {"train", "unseen"}


def test_the_same_set_is_prepared_once_and_another_anew(tmp_path):
    first = made(tmp_path, rows(20))
    file = tmp_path / "run/summaries/pairs.parquet"
    stamp = file.stat().st_mtime_ns
    assert made(tmp_path, rows(20)) == first and file.stat().st_mtime_ns == stamp
    assert made(tmp_path, rows(20), summaries_licence="CC-BY-4.0")["sha256"] == first["sha256"]
    other = made(tmp_path, rows(21))
    assert other["kept"] == 21 and other["sha256"] != first["sha256"]
    assert not (tmp_path / "run/summaries.building").exists()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_is_a_set_too(tmp_path, ending):
    frame, path = pl.DataFrame(rows(12)), tmp_path / f"set.{ending}"
    frame.write_csv(path) if ending == "csv" else frame.write_parquet(path)
    assert (
        pairs.prepare_pairs(Run(tmp_path / "run"), config(str(path)), progress=False)["kept"] == 12
    )


def test_a_folder_of_texts_and_a_folder_of_summaries(tmp_path):
    folder = tmp_path / "temario"
    for name in ("textos", "sumarios/manuais"):
        (folder / name).mkdir(parents=True)
    for number in range(6):
        text = f"A ação número {number} não parou. {story(number)}"
        (folder / f"textos/ce94-{number}.txt").write_bytes(text.encode("cp1252"))
        (folder / f"sumarios/manuais/Sum-CE94-{number}.TXT").write_text(
            f"A ação {number} não para.", encoding="utf-8"
        )
    (folder / "textos/alone.txt").write_text(story(70))
    (folder / "sumarios/manuais/Sum-nobody.txt").write_text("A summary of nothing.")
    report = pairs.prepare_pairs(
        Run(tmp_path / "run"),
        config(str(folder), text_column="textos", summary_column="sumarios"),
        False,
    )
    assert (
        report["dropped"] == {"no_summary": 1, "no_text": 1}
        and report["source"]["name"] == "temario"
    )
    for pair in table(tmp_path / "run"):
        number = pair["summary"].split()[2]
        assert pair["text"].startswith(f"A ação número {number} não parou.")


# --- a set that cannot be used ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "more", "words"),
    [
        (
            rows(3),
            {"text_column": "text"},
            "'set.jsonl' has no column 'text'; it has document, gist, id: name yours with "
            "--text-column",
        ),
        (
            rows(3),
            {"text_column": "a", "summary_column": "b"},
            "'set.jsonl' has no column 'a'; it has document, gist, id: name yours with "
            "--text-column and --summary-column",
        ),
        ([], {}, "'set.jsonl' has 0 usable pairs in 0 rows, and two are the least"),
        (
            rows(1),
            {},
            "'set.jsonl' has 1 usable pair in 1 rows, and two are the least, one to learn from "
            "and one to score",
        ),
        (
            [rows(1)[0], {"document": "", "gist": "x"}, {"document": "a", "gist": ""}],
            {},
            "dropped: 1 no_text (no text is left), 1 no_summary (no summary is left)",
        ),
        (
            [{"document": story(1) + f" {n}", "gist": f"Case {n} again."} for n in range(4)],
            {},
            "all 4 pairs of 'set.jsonl' are near duplicates of one another",
        ),
    ],
)
def test_a_set_that_cannot_be_used_is_named(tmp_path, lines, more, words):
    with pytest.raises(SourceError) as error:
        made(tmp_path, lines, **more)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not Run(tmp_path / "run").summaries_report()


def test_a_call_that_contradicts_itself():
    with pytest.raises(ConfigError, match="--summaries and --teacher contradict each other"):
        SummariesConfig(summaries="a", teacher="b")
    with pytest.raises(ConfigError, match="--text-column and --summary-column are both 'x'"):
        SummariesConfig(text_column="x", summary_column="x")
    with pytest.raises(ConfigError, match=r"--held-out is 1\.0, the most is 0\.9"):
        SummariesConfig(held_out=1.0)


def test_a_set_is_not_silently_left_out(tmp_path, capsys):
    write_catalogue(tmp_path / "trn.json")
    source, run = tmp_path / "trn.json", tmp_path / "run"
    source.write_text("".join(source.read_text().splitlines(keepends=True)[:60]))
    call = ["prepare", str(source), "--run", str(run)]
    told = [
        *call,
        "--summaries",
        write(tmp_path / "set.jsonl", rows(30)),
        "--text-column",
        "document",
        "--summary-column",
        "gist",
    ]
    assert main(told) == 0
    assert "prepare: 30 texts with summaries read, 30 kept" in capsys.readouterr().out
    assert main(call) == 2
    assert (
        "run was prepared with --summaries set.jsonl: repeat it, choose another --run"
        in capsys.readouterr().err
    )
    assert main(told) == 0


# --- what a run makes of them ----------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a small catalogue and a set of 60 pairs."""
    folder = tmp_path_factory.mktemp("pairs")
    write_catalogue(folder / "trn.json")
    prepare_catalogue(
        str(folder / "trn.json"), Run(folder / "run"), PrepareConfig(limit=150), progress=False
    )
    made(folder, rows(60), held_out=0.2, summaries_licence="CC0-1.0")
    return folder / "run"


@pytest.fixture(scope="module")
def examples(run, tokenizer):
    fitting = FitConfig(base="x", learn=20, summarize=1.0, max_length=400, answer_tokens=60)
    return pipeline.load_examples(Run(run), fitting, tokenizer, 512)


def test_training_summarizes_the_one_side_and_the_summary_set_is_the_other(run, examples):
    stored = {pair["uid"]: pair for pair in table(run)}
    distinct, order = examples.build_training()
    learned = [distinct[place] for place in order if distinct[place].task == "summarize"]
    scored = examples.build_sets(99)["summary"]
    assert len(learned) == 20 and len(scored) == sum(
        pair["split"] == "unseen" for pair in stored.values()
    )
    for side, items in (("train", learned), ("unseen", scored)):
        assert {stored[item.uid]["split"] for item in items} == {side}
        for item in items:
            assert (
                stored[item.uid]["text"].startswith(item.text)
                and item.answer == stored[item.uid]["summary"]
            )
    assert not {normalise(item.text) for item in learned} & {
        normalise(item.text) for item in scored
    }


def test_what_is_learned_is_cut_as_serving_cuts_it(examples, tokenizer):
    long = {
        "uid": "long",
        "title": "",
        "content": " ".join(map(story, range(9))),
        "summary": story(70) + " " + story(71),
    }
    item = examples.summarize(long)
    served = fit_prompt(
        tokenizer,
        PromptTemplate(),
        "summarize",
        long["content"],
        room=examples.window - examples.answer_tokens - 8,
    )
    assert served.cut > 0 and long["content"] == item.text + long["content"][-served.cut :]
    row = examples.encode([item])[0]
    assert [
        token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label < 0
    ] == served.ids
    assert item.answer == take_lead(
        long["summary"], tokenizer, examples.answer_tokens
    ) and item.answer.endswith(".")
    assert item.answer != long["summary"]
    tiny = Examples(
        [*examples.train, *examples.held_out],
        examples.catalogue,
        tokenizer,
        PromptTemplate(),
        replace(examples.config, max_length=32, answer_tokens=20),
        512,
        examples.pairs,
    )
    assert tiny.summarize({**long, "content": "word " * 9}) is None


def test_a_worked_summary_is_a_pair_of_training(examples, run, tokenizer):
    roomy = Examples(
        [*examples.train, *examples.held_out],
        examples.catalogue,
        tokenizer,
        PromptTemplate(),
        replace(examples.config, max_length=2000),
        2000,
        examples.pairs,
    )
    item = roomy.build_sets(1)["summary"][0]
    shown = add_few_shot(roomy, item, 2).history
    trained = {pair["summary"] for pair in table(run) if pair["split"] == "train"}
    assert len(shown) == 4 and {message["content"] for message in shown[1::2]} <= trained
    assert detect_language(item.answer) == "en"


@pytest.mark.parametrize(
    "plant",
    [
        lambda pair: {
            "uid": "x",
            "title": "",
            "content": pair["content"].upper(),
            "summary": "Other words.",
        },
        lambda pair: {
            "uid": "x",
            "title": "",
            "content": "Other words than those.",
            "summary": pair["summary"].lower() + "!",
        },
        lambda pair: {"uid": "x", "title": "A title", "content": pair["summary"]},
    ],
)
def test_a_held_out_text_or_summary_that_training_shows_is_refused_and_never_scored(
    examples, plant
):
    held_out = examples.pairs["unseen"]
    leak = plant(held_out[0])
    scored = [(pair["uid"], pair["title"]) for pair in held_out]
    trained = list(examples.training_texts())
    assert check_contamination(scored, held_out, trained)["items"] == len(held_out)
    with pytest.raises(ConfigError, match="nothing was scored: 1 of the titles and contents"):
        check_contamination(scored, held_out, [*trained, leak])
    assert exclude_shared_texts(held_out, [leak]) == held_out[1:]


def test_a_run_proves_it_of_its_own_pairs(examples, monkeypatch):
    assert examples.check_contamination(50)["records"] > len(examples.train) + 40
    leaked = examples.scorable_summary_texts[0]
    monkeypatch.setattr(examples, "training_texts", lambda: iter([*examples.train, leaked]))
    with pytest.raises(ConfigError, match="were trained on"):
        examples.check_contamination(50)


def test_an_adapter_is_of_its_pairs_and_says_whose_they_are(run, tmp_path):
    assert Run(run).data_digest()["summaries"] == Run(run).summaries_report()["sha256"]
    told = pairs.summaries_origin(Run(run))
    assert (
        told["from"] == "the set set.jsonl"
        and told["licence"] == "CC0-1.0"
        and told["source"]["bytes"] > 0
    )
    assert (
        pairs.describe_references(Run(run))
        == "summaries of the set set.jsonl, of texts that training never showed"
    )
    assert pairs.summaries_origin(Run(tmp_path)) == {
        "from": "the contents' own principal sentences"
    }
    assert not Run(tmp_path).summaries_report() and pairs.load_pairs(Run(tmp_path)) is None


def test_without_pairs_contents_are_summed_up_as_before(run, tokenizer):
    fitting = FitConfig(base="x", learn=20, summarize=1.0, max_length=400, answer_tokens=60)
    bare = Examples(
        load_records(Run(run)),
        Catalogue.open(run / "catalogue"),
        tokenizer,
        PromptTemplate(),
        fitting,
        512,
    )
    assert bare.scorable_summary_texts == bare.scorable and bare.summary_texts == bare.reading
    assert {item.uid for item in bare.build_sets(20)["summary"]} <= {
        record["uid"] for record in bare.held_out
    }


# --- from a set to a scored adapter ----------------------------------------------------------

QUICK = [*QUICK_FIT, "--summarize", "1", *QUICK_SCORE]


@pytest.mark.slow
def test_all_learns_and_scores_the_set_and_says_so(tmp_path, tiny_base, capsys):
    write_catalogue(tmp_path / "trn.json")
    run, told = tmp_path / "run", write(tmp_path / "set.jsonl", rows(40))
    call = [
        "all",
        str(tmp_path / "trn.json"),
        "--limit",
        "100",
        "--run",
        str(run),
        "--base",
        str(tiny_base),
        *QUICK,
    ]
    call += ["--text-column", "document", "--summary-column", "gist", "--held-out", "0.2"]
    assert main([*call, "--summaries", told]) == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith(
        "summary: summaries of the set set.jsonl, of texts that training never showed"
    )
    held_out = {pair["summary"] for pair in table(run) if pair["split"] == "unseen"}
    scored = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    scored = [line for line in scored if line["set"] == "summary"]
    assert (
        len(scored) == 3
        and {line["reference"] for line in scored} <= held_out
        and not any(line["title"] for line in scored)
    )
    assert json.loads((run / "metrics.json").read_text())["summary"]["references"] in out
    record = json.loads((run / "adapter/run.json").read_text())
    assert (
        record["summaries"]["source"]["name"] == "set.jsonl"
        and record["summaries"]["licence"] == "unknown"
    )
    assert record["data"]["summaries"] == record["summaries"]["sha256"] and str(
        tmp_path
    ) not in json.dumps(record)
    card = (run / "adapter/README.md").read_text()
    assert "with summaries of the set set.jsonl." in card and "Their licence: unknown." in card
    assert main([*call, "--summaries", told]) == 0
    assert "fit: done already" in capsys.readouterr().out
    assert main([*call, "--summaries", write(tmp_path / "other.jsonl", rows(41))]) == 2
    assert (
        "has an adapter of another catalogue or other summaries than it has now"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_checkpoint_is_not_gone_on_with_for_other_summaries(
    tmp_path, tiny_base, monkeypatch, capsys
):
    write_catalogue(tmp_path / "trn.json")
    run, call = (
        tmp_path / "run",
        ["prepare", str(tmp_path / "trn.json"), "--limit", "60", "--run", str(tmp_path / "run")],
    )
    call += ["--text-column", "document", "--summary-column", "gist", "--summaries"]
    fitting = [
        "fit",
        "--run",
        str(run),
        "--base",
        str(tiny_base),
        "--save-steps",
        "1",
        *QUICK[:10],
        "--answer-tokens",
        "60",
    ]
    assert main([*call, write(tmp_path / "set.jsonl", rows(40))]) == 0
    monkeypatch.setattr(
        training, "save_adapter", lambda *_: None
    )  # as if it had been killed just before
    assert main(fitting) == 0 and (run / "checkpoints").is_dir()
    assert main([*call, write(tmp_path / "set.jsonl", rows(41))]) == 0
    assert main(fitting) == 2
    assert (
        "run was begun with another catalogue, base, prompt template or summaries than it has now"
        in capsys.readouterr().err
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tongue"), [("temario-50", "pt"), ("xsum-25", "en")])
@pytest.mark.parametrize("base", ["tiny", "sample"])
def test_real_summaries_are_learned_and_scored(
    tmp_path, shared, tiny_base, name, tongue, base, capsys
):
    """TeMario and XSum, from the file to the table."""
    folder = tiny_base if base == "tiny" else TOY / "base"
    write_catalogue(tmp_path / "trn.json")
    told = [
        "--summaries",
        str(shared / f"data/{name}.jsonl"),
        "--text-column",
        "document",
        "--held-out",
        "0.2",
    ]
    run = tmp_path / "run"
    call = [
        "all",
        str(tmp_path / "trn.json"),
        "--limit",
        "60",
        "--run",
        str(run),
        "--base",
        str(folder),
    ]
    assert main([*call, *told, *QUICK]) == 0
    assert f"summary: summaries of the set {name}.jsonl" in capsys.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())["summary"]
    assert metrics["n"] == 3 and ("rougeL_unicode" in metrics["tuned"]) == (tongue == "pt")
    assert Run(run).summaries_report()["languages"] == {tongue: int(name[-2:])}
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    asked = [line["question"] for line in lines if line["set"] == "summary"]
    texts = {pair["text"] for pair in table(run)}
    assert all(any(text.startswith(question) for text in texts) for question in asked)
    assert (
        set(asked) - texts
    )  # news is longer than the window: what is asked about is its beginning


def test_a_set_with_one_item_claims_no_interval(tmp_path):
    line = {
        "set": "summary",
        "base": "a lamp",
        "tuned": "the lamp",
        "reference": "the lamp",
        "base_loss": 2.0,
        "tuned_loss": 1.0,
    }
    metrics = metrics_of([line], ["base", "tuned"])
    assert "(one item: no interval)" in report.as_text(report.score_rows(metrics, 0))
    plots.plot_before_after(metrics, 0, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
