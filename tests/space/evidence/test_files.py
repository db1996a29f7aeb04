"""What an adapter brings beside its weights: read whole, in part, and when it means harm."""

import json
import shutil

import pytest

from space.evidence import charts
from space.evidence.files import FILES, SAMPLES, Evidence, read_evidence
from space.evidence.findings import JUDGED, principal_metric
from space.page.html import samples
from space.page.html.findings import loss, show_findings
from space.page.tabs.made import render_made
from tests.evidence import EVIL, read_files, sample_line
from tests.fake_engine import INFO
from tests.languages import visible_text
from tests.toy import TOY


@pytest.fixture(scope="module")
def sample() -> Evidence:
    return read_evidence(TOY / "adapter", TOY / "catalogue")


def test_the_samples_own_answers_give_the_scores_that_it_tells(sample):
    assert (
        not sample.broken
        and not sample.more
        and {each.name for each in sample.scores} <= set(JUDGED)
    )
    for each in sample.scores:
        principal = principal_metric(each.name, each.means["base"], each.means["tuned"])
        told = each.changes["base"][principal]
        ours = [one for one in sample.samples if one.set == each.name]
        counts = tuple(
            len([one for one in ours if samples.outcome_of(one) == kind])
            for kind in ("wins", "ties", "losses")
        )
        assert (len(ours), *counts) == (each.items, told.wins, told.ties, told.losses)
        for column, mean in (
            ("base", sum(one.before for one in ours)),
            ("tuned", sum(one.after for one in ours)),
        ):
            assert mean / len(ours) == pytest.approx(each.means[column][principal], abs=1e-3)
    assert len(sample.history) > 20 and sample.run["config"]["rank"] == sample.lora["r"]
    assert len((TOY / "samples.jsonl").read_text(encoding="utf-8").splitlines()) == len(
        sample.samples
    )


def test_it_is_found_at_a_repositorys_root_and_above_a_runs_adapter_and_nowhere_else(
    tmp_path, sample
):
    root = tmp_path / "0123abcd"
    shutil.copytree(
        TOY / "adapter", root, ignore=shutil.ignore_patterns("*.safetensors", "tokenizer.json")
    )
    assert read_evidence(root, None).scores == ()
    for name in FILES:
        shutil.copy(TOY / name, tmp_path / name)
    assert read_evidence(root, None).samples == (), "what lies beside a repository is not its own"
    for name in FILES:
        shutil.copy(TOY / name, root / name)
    found = read_evidence(root, None)
    assert (found.scores, found.history, found.run) == (sample.scores, sample.history, sample.run)


def test_an_adapter_that_brought_nothing_says_so(tmp_path):
    nothing = read_files(tmp_path)
    assert nothing == Evidence()
    assert visible_text(show_findings(nothing)).startswith("This adapter brought no scores.")
    assert visible_text(show_findings(nothing), "pt").startswith("Este adaptador não trouxe notas.")
    assert "no history" in visible_text(loss(nothing)) and "no answers" in visible_text(
        samples.show_page(nothing, (), 0)
    )
    assert "without a run.json" in visible_text(render_made(nothing, INFO))


def test_an_older_format_is_read_as_far_as_it_goes(tmp_path):
    found = read_files(
        tmp_path,
        metrics_json={
            "seen": {
                "n": 8,
                "base": {"rougeL": 0.2},
                "tuned": {"rougeL": 0.5},
                "difference": {"rougeL": {"mean": 0.3, "low": 0.1, "high": 0.5}},
            },
            "unseen": {"n": 3, "base": {"rougeL": 0.2}, "tuned": {"rougeL": 0.5}},
            "future": {"n": 1},
        },
        samples_jsonl='{"set": "seen", "question": "q", "reference": "oak", "base": "", '
        '"tuned": "oak"}\n',
    )
    assert [each.name for each in found.scores] == ["seen", "unseen"]
    assert not found.scores[1].changes["base"]
    shown = visible_text(show_findings(found))
    assert (
        "From 0.20 to 0.50" in shown
        and "without an interval" in shown
        and "won" not in shown.split("What these")[0]
    )
    assert found.samples[0].change is None and "It said nothing." in visible_text(
        samples.show_page(found, found.samples, 0)
    )


def test_scores_that_mean_harm_are_left_out(tmp_path):
    bad = [
        5,
        [],
        {"base": 5, "tuned": {}},
        {"base": {"rougeL": 0.5}},
        {"base": {"rougeL": "0.5"}, "tuned": {"rougeL": 1}},
        {"base": {"rougeL": True}, "tuned": {"rougeL": 1}},
        {"base": {"rougeL": -1}, "tuned": {"rougeL": 2}},
        {"base": {"rougeL": float("nan")}, "tuned": {"rougeL": 1e400}},
    ]
    good = {"base": {"rougeL": 0.25}, "tuned": {"rougeL": 0.75}}
    lines = [sample_line(scores=scores) for scores in [*bad, good]]
    found = read_files(tmp_path, samples_jsonl="\n".join(lines))
    assert [each.change for each in found.samples] == [None] * len(bad) + [0.5]
    for order in samples.ORDERS:
        page = samples.show_page(found, samples.choose(found.samples, "all", "any", order, ""), 0)
        assert page.count("<article") == len(bad) + 1 and page.count('class="change"') == 1


HOSTILE = {
    "metrics_json": [
        "[1, 2]",
        "{",
        "[" * 100_000,
        '{"seen": 5}',
        '{"seen": {"n": "many", "base": [], "tuned": null}}',
        '{"seen": {"n": 5, "base": {"rougeL": NaN}, "tuned": {"rougeL": Infinity}}}',
        '{"seen": {"n": 1' + "0" * 5000 + "}}",
        '{"seen": {"n": 5, "base": {"rougeL": -1}, "tuned": {"rougeL": 1e300}}}',
        '{"seen": {"n": 5, "base": {"rougeL": 0.5}, "tuned": {"rougeL": 0.6}, "difference": '
        '{"rougeL": {"mean": 0.1, "low": 0.4, "high": -0.2, "wins": -1, "ties": "x", '
        '"losses": true}}}}',
    ],
    "samples_jsonl": [
        "x",
        "5\n[]\n",
        '{"set": ["seen"]}\n',
        '{"set": "seen", "question": 5}\n',
        "[" * 100_000,
        '{"set": "absent", "question": "q", "title": {"a": 1}, "sources": {"a": 1}}\n',
        '{"set": "seen", "question": "\\ud800 '
        + EVIL.replace('"', '\\"')
        + '", "tuned": "\\u0000", '
        '"sources": [[], 5]}\n',
    ],
    "history_jsonl": [
        "x",
        '{"step": NaN, "loss": 1}\n{"step": 1e400, "loss": 1}\n',
        '{"step": 1, "loss": NaN}\n{"step": 2}\n',
        '{"step": 0, "loss": 0}\n{"step": 0, "loss": 0}\n{"step": 5, "loss": 0}\n',
        '{"step": 5, "loss": -3}\n',
    ],
    "run_json": [
        "[]",
        '{"config": 5, "data": [], "base": "x", "libraries": 7, "seconds": "long"}',
        '{"seed": NaN, "steps": -1}',
        json.dumps(
            {
                "config": {
                    "rank": EVIL,
                    "alpha": 1e400,
                    "learning_rate": [],
                    "answers": {},
                    "precision": EVIL,
                },
                "data": {"source": {"name": EVIL, "sha256": EVIL}, "kept": 2, "read": 3},
                "hardware": EVIL,
                "libraries": {EVIL: EVIL},
                "base": {"name": EVIL, "revision": EVIL},
                "version": EVIL,
                "steps": 5,
                "seconds": 9,
                "summaries": {"from": EVIL, "licence": EVIL},
            }
        ),
    ],
    "adapter_config_json": ["{}", '{"r": "' + "9" * 500 + '", "lora_alpha": NaN, "task_type": []}'],
    "README_md": [
        f"---\nlicense: {EVIL}\n---\n## Limits\n{EVIL}\n",
        "## Limits\n" * 50_000,
        "\x00\x00",
    ],
}


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name, texts in HOSTILE.items() for text in texts],
    ids=lambda value: value[:24],
)
def test_whatever_the_files_hold_the_page_is_whole_and_nothing_in_them_is_html(
    tmp_path, name, text
):
    found = read_files(tmp_path, **{name: text})
    page = "".join(
        (
            show_findings(found),
            loss(found),
            samples.show_page(found, found.samples, 0),
            render_made(found, INFO),
        )
    )
    assert (
        "<script" not in page
        and "<img" not in page
        and "nan" not in visible_text(page).lower().split()
    )
    page.encode()  # what cannot be sent would stop the page
    assert all(
        each.changes["base"] == {} or each.changes["base"]["rougeL"].low is None
        for each in found.scores
    )
    if name in ("samples_jsonl", "history_jsonl") and text == "x":
        assert found.broken == (name.replace("_", "."),)


def test_what_is_too_much_is_cut(tmp_path):
    found = read_files(
        tmp_path,
        samples_jsonl=(sample_line(tuned="oak " * 5_000) + "\n") * 3
        + (sample_line() + "\n") * SAMPLES
        + sample_line(question="x" * 300_000),
        history_jsonl="".join(
            json.dumps({"step": step, "loss": 1 / (step + 1)}) + "\n" for step in range(3_000)
        ),
        run_json=" " * 4_000_001 + "{}",
    )
    assert len(found.samples) == SAMPLES and found.more and found.broken == ("run.json",)
    assert len(found.samples[0].tuned) < 4_100 and found.samples[0].tuned.endswith("…")
    assert "the first 5,000 are read here" in visible_text(
        samples.show_page(found, found.samples, 0)
    )
    assert len(charts.thin(found.history)) <= charts.POINTS and len(loss(found)) < 20_000
