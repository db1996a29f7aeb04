"""Runs side by side: the same items, paired differences, the gate, and what is refused."""

import json

import numpy as np
import pytest

from space.model.prompt_template import PromptTemplate
from tests.scored import HOSTILE, lines, write_run
from train.__main__ import main
from train.config import ConfigError
from train.evaluate import compare

GOOD, BAD = "the kettle is made of oak and it is blue", "a vase"


def told(capsys, arguments, code):
    """Runs `compare` and returns what it said on both streams."""
    assert main(["compare", *map(str, arguments)]) == code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return said.out, said.err


def test_the_later_run_is_measured_against_the_first(tmp_path, capsys):
    first, later = write_run(tmp_path / "old", lines(BAD)), write_run(tmp_path / "new", lines(GOOD))
    out, _ = told(capsys, [first, later], 0)
    assert "20 items that all runs answered, of 20, 20." in out and "new less old:" in out
    assert f"compare: {tmp_path / 'compare.html'}" in out
    comparison = compare.compare([first, later])
    (seen,) = comparison.scores["run1"]
    change = seen.changes["run0"]["rougeL"]
    assert (change.mean, change.wins, change.losses) == (1.0, 20, 0)
    assert seen.means["run0"]["rougeL"] == 0 and seen.means["run1"]["rougeL"] == 1
    text = (tmp_path / "compare.html").read_text()
    assert "Against old, new is better on seen." in text and "http" not in text.replace(
        "http-equiv", ""
    )


def test_the_gate_shuts_for_a_run_that_is_worse_beyond_its_interval_and_no_other(tmp_path, capsys):
    good, bad, same = (
        write_run(tmp_path / name, lines(said))
        for name, said in (("good", GOOD), ("bad", BAD), ("same", GOOD))
    )
    out, err = told(capsys, [good, bad, "--gate"], 1)
    assert "bad less good:" in out
    assert err.startswith(
        "error: the gate is shut: bad on seen: Worse than good in words shared with the right "
        "answer (ROUGE-L): 0.000 against 1.000, -1.000"
    )
    assert "words that the record supports" in err
    told(capsys, [bad, good, "--gate"], 0)
    told(capsys, [good, same, "--gate"], 0)
    told(capsys, [good, bad], 0)
    assert "bad on seen" in told(capsys, [good, same, bad, "--gate"], 1)[1]


def test_only_items_that_both_answered_are_paired(tmp_path):
    ours, theirs = lines(GOOD, 10), lines(BAD, 14)
    theirs[0]["question"] = "Describe u0."
    theirs[1]["reference"] = "another reference"
    theirs[2]["sources"] = ["s"]
    comparison = compare.compare(
        [write_run(tmp_path / "a", ours), write_run(tmp_path / "b", theirs[::-1])]
    )
    assert [each.uid for each in comparison.items] == [f"u{place}" for place in range(3, 10)]
    assert comparison.notes == [
        "7 items that all runs answered, of 10, 14.",
        "Left out: 1 with different reference; 1 with different sources.",
    ]
    assert [answer.text for answer in comparison.items[0].answers.values()] == [GOOD, BAD]


def test_seeds_lie_apart_by_hand(tmp_path, capsys):
    runs = [
        write_run(tmp_path / f"seed{seed}", lines(GOOD, 4)[:good] + lines(BAD, 4)[good:], seed=seed)
        for seed, good in ((1, 4), (2, 2), (3, 0))
    ]
    other = write_run(tmp_path / "rank8", lines(GOOD, 4), rank=8)
    comparison = compare.compare([*runs, other])
    assert compare.seed_groups(comparison) == [["run0", "run1", "run2"]]
    row = next(
        row for row in compare.spread(comparison, ["run0", "run1", "run2"]) if row[2] == "rougeL"
    )
    assert row == [
        "seen",
        "3",
        "rougeL",
        "0.500",
        f"{np.std([1, 0.5, 0], ddof=1):.3f}",
        "0.000",
        "1.000",
    ]
    out, _ = told(capsys, [*runs, other], 0)
    assert "seed1, seed2, seed3 differ in no more" in out
    text = (tmp_path / "compare.html").read_text()
    assert (
        "Rank against size" in text
        and "most memory in training, GiB" in text
        and "What one seed does not show" in text
    )


def test_a_run_from_before_there_was_an_option_had_its_default(tmp_path, capsys):
    runs = [
        write_run(tmp_path / "a", lines()),
        write_run(tmp_path / "b", lines(), seed=2),
        write_run(tmp_path / "c", lines(), seed=3, rank_stabilized=True),
    ]
    for run in runs[:2]:
        record = json.loads((run / "adapter" / "run.json").read_text())
        del record["config"]["rank_stabilized"], record["config"]["init"]
        (run / "adapter" / "run.json").write_text(json.dumps(record))
    again = write_run(tmp_path / "d", lines(), seed=4)
    assert compare.seed_groups(compare.compare([*runs, again])) == [["run0", "run1", "run3"]]
    told(capsys, [runs[0], runs[2]], 0)
    assert "--rank-stabilized True" in (tmp_path / "compare.html").read_text()


def test_runs_that_differ_in_more_than_the_seed_are_no_spread(tmp_path):
    runs = [
        write_run(tmp_path / "a", lines()),
        write_run(tmp_path / "b", lines(), seed=2, epochs=3),
    ]
    assert compare.seed_groups(compare.compare(runs)) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"source": "cd"},
            r"different catalogues \(source differ\): what one never saw the other may have been "
            "trained on",
        ),
        (
            {
                "prompt_template": PromptTemplate(
                    answer="{records} {text}", absent={"en": "No.", "pt": "Não."}
                )
            },
            r"asked in different words \(answer, absent of prompt.json differ\)",
        ),
    ],
)
def test_what_would_not_be_fair_is_refused(tmp_path, options, words):
    runs = write_run(tmp_path / "a", lines()), write_run(tmp_path / "b", lines(), **options)
    with pytest.raises(compare.CompareError, match=rf"a and b .*{words}"):
        compare.compare(runs)


def test_a_loss_per_token_is_not_compared_between_tokenizers(tmp_path):
    runs = [
        write_run(tmp_path / name, lines(), tokenizer=json.dumps({"name": name}))
        for name in ("a", "b")
    ]
    comparison = compare.compare(runs)
    assert "tokenizers differ" in comparison.notes[-1]
    changes = comparison.scores["run1"][0].changes["run0"]
    assert "loss" not in changes and "perplexity" not in changes and "rougeL" in changes


def test_what_is_no_pair_of_scored_runs_is_refused_in_words(tmp_path, capsys):
    first, later = write_run(tmp_path / "a", lines()), write_run(tmp_path / "b", lines())
    assert "two or more runs" in told(capsys, [first], 2)[1]
    assert "each of them once" in told(capsys, [first, first], 2)[1]
    assert (
        f"{tmp_path / 'none'} is no run with an adapter"
        in told(capsys, [first, tmp_path / "none"], 1)[1]
    )
    (later / "adapter/adapter_model.safetensors").write_bytes(b"others")
    err = told(capsys, [first, later], 1)[1]
    assert (
        f"{later}: adapter/adapter_model.safetensors was changed after the adapter was scored: run"
        in err
    )
    (later / "evaluation.json").unlink()
    assert (
        "evaluation.json is missing: run `python -m train evaluate`"
        in told(capsys, [first, later], 1)[1]
    )
    other = write_run(tmp_path / "other", lines(name="unseen"))
    assert (
        "a, other share no item: train them with the same --context"
        in told(capsys, [first, other], 1)[1]
    )


def test_one_item_in_common_claims_nothing(tmp_path, capsys):
    runs = [
        write_run(tmp_path / name, lines(tuned, 1))
        for name, tuned in (("a", "the kettle is made of oak"), ("b", ""))
    ]
    said = told(capsys, [*runs, "--gate"], 0)[0]
    assert "one item" in said.lower() and "worse" not in said.lower()


@pytest.mark.parametrize(
    ("reference", "tuned"), [("", ""), ("", "x"), ("[1] !!", ""), ("\u200b", "\u200b"), ("x", "x")]
)
def test_junk_is_compared_without_an_error(tmp_path, capsys, reference, tuned):
    runs = [
        write_run(tmp_path / name, [each | {"reference": reference} for each in lines(tuned, 3)])
        for name in "ab"
    ]
    said = told(capsys, [*runs, "--gate"], 0)[0]
    assert "nan" not in said.lower().split()


def test_names_tell_runs_of_one_name_apart(tmp_path):
    assert compare.unique_names(
        [tmp_path / "x" / "run", tmp_path / "y" / "run", tmp_path / "z"]
    ) == [
        "x/run",
        "y/run",
        "z",
    ]


def test_no_run_is_lost_for_its_name(tmp_path, capsys):
    """Two runs may have the same name in folders of the same name."""
    runs = [
        write_run(tmp_path / name, lines(tuned))
        for name, tuned in (("p/a/x", BAD), ("q/a/x", GOOD), ("q/b/x", BAD))
    ]
    names = compare.unique_names(runs)
    assert names == ["p/a/x", "q/a/x", "b/x"]
    assert compare.unique_names([tmp_path.parents[-1] / "x", tmp_path.parents[-1] / "y" / "x"]) == [
        "/x",
        "y/x",
    ]
    out, _ = told(capsys, runs, 0)
    assert "q/a/x less p/a/x:" in out and "b/x less p/a/x:" in out
    text = (tmp_path / "q/b/compare.html").read_text()
    for name in names:
        assert f"<h3>{name}</h3>" in text


def test_runs_that_an_older_version_scored_are_scored_anew_from_their_answers(tmp_path):
    runs = [write_run(tmp_path / name, lines(tuned)) for name, tuned in (("a", BAD), ("b", GOOD))]
    now = compare.compare(runs)
    for run in runs:
        old = [json.loads(each) for each in (run / "samples.jsonl").read_text().splitlines()]
        texts = [json.dumps({k: v for k, v in each.items() if k != "scores"}) for each in old]
        (run / "samples.jsonl").write_text("".join(f"{text}\n" for text in texts))
    assert compare.compare(runs).scores == now.scores


def test_the_page_goes_where_it_is_told_and_nothing_said_does_anything(tmp_path, capsys):
    samples = [
        each | {"question": f"{HOSTILE} {place}", "title": HOSTILE}
        for place, each in enumerate(lines(HOSTILE, 4))
    ]
    runs = (
        write_run(tmp_path / HOSTILE.replace("/", ""), samples),
        write_run(tmp_path / "b", samples),
    )
    out = tmp_path / "deep" / "er" / "page.html"
    told(capsys, [*runs, "--out", out], 0)
    text = out.read_text()
    assert "<script" not in text and "&lt;script&gt;alert(1)" in text


def test_a_call_of_one_run_is_a_wrong_call(tmp_path):
    with pytest.raises(ConfigError):
        compare.compare([tmp_path])
