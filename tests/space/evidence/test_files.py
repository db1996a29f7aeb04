"""What an adapter brings beside its weights: read whole, in part, and when it means harm; told, and
copied as code.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from space.evidence import charts
from space.evidence.files import FILES, SAMPLES, Evidence, read_evidence
from space.evidence.findings import JUDGED, Change, Scores, list_findings
from space.page.html import samples
from space.page.html.findings import lead, loss, show_findings
from space.page.tabs.made import render_made
from space.settings import SAMPLE
from space.texts import TEXTS
from tests.fake_engine import INFO
from tests.languages import visible_text

GOOD = {"base": {"rougeL": 0.25}, "tuned": {"rougeL": 0.75}}
EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


@pytest.fixture(scope="module")
def sample() -> Evidence:
    return read_evidence(SAMPLE / "adapter", SAMPLE / "catalogue")


def brought(folder: Path, **files) -> Evidence:
    """What is read of a folder with these files, a name without its dot each; a value that is no
    text is written as JSON.
    """
    folder.mkdir(exist_ok=True)
    for name, value in files.items():
        path = folder / re.sub("_(jsonl?|md)$", r".\1", name)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return read_evidence(folder, None)


def line(name="seen", **changes) -> str:
    return json.dumps(
        {
            "set": name,
            "question": "What is Oak Kettle?",
            "reference": "an oak kettle",
            "base": "a vase",
            "tuned": "an oak kettle",
            "title": "Oak Kettle",
            "sources": ["S1"],
        }
        | changes
    )


def scores(name="seen", metric="rougeL", base=0.4, tuned=0.6, **change) -> Scores:
    changes = {metric: Change(round(tuned - base, 4), **change)}
    return Scores(
        name,
        50,
        {
            "base": {metric: base, JUDGED[name][0]: base},
            "tuned": {metric: tuned, JUDGED[name][0]: tuned},
        },
        {"base": changes},
    )


# --- reading ---


def test_the_samples_own_answers_give_the_scores_that_it_tells(sample):
    assert (
        not sample.broken
        and not sample.more
        and {each.name for each in sample.scores} == set(JUDGED)
    )
    for each in sample.scores:
        told = each.changes["base"][JUDGED[each.name][0]]
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
            assert mean / len(ours) == pytest.approx(
                each.means[column][JUDGED[each.name][0]], abs=1e-3
            )
    assert len(sample.history) > 20 and sample.run["config"]["rank"] == sample.lora["r"]
    assert len((SAMPLE / "samples.jsonl").read_text(encoding="utf-8").splitlines()) == len(
        sample.samples
    )


def test_it_is_found_at_a_repositorys_root_and_above_a_runs_adapter_and_nowhere_else(
    tmp_path, sample
):
    root = tmp_path / "0123abcd"
    shutil.copytree(
        SAMPLE / "adapter", root, ignore=shutil.ignore_patterns("*.safetensors", "tokenizer.json")
    )
    assert read_evidence(root, None).scores == ()
    for name in FILES:
        shutil.copy(SAMPLE / name, tmp_path / name)
    assert read_evidence(root, None).samples == (), "what lies beside a repository is not its own"
    for name in FILES:
        shutil.copy(SAMPLE / name, root / name)
    found = read_evidence(root, None)
    assert (found.scores, found.history, found.run) == (sample.scores, sample.history, sample.run)


def test_an_adapter_that_brought_nothing_says_so(tmp_path):
    nothing = brought(tmp_path)
    assert nothing == Evidence()
    assert visible_text(show_findings(nothing)).startswith("This adapter brought no scores.")
    assert visible_text(show_findings(nothing), "pt").startswith("Este adaptador não trouxe notas.")
    assert "no history" in visible_text(loss(nothing)) and "no answers" in visible_text(
        samples.show_page(nothing, (), 0)
    )
    assert "without a run.json" in visible_text(render_made(nothing, INFO))


def test_an_older_format_is_read_as_far_as_it_goes(tmp_path):
    found = brought(
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
        samples_jsonl='{"set": "seen", "question": "q", "reference": "oak", "base": "", "tuned": "oak"}\n',  # noqa: E501
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


def test_answers_of_an_older_adapter_without_scores_are_shown_and_not_judged(tmp_path, sample):
    old = brought(tmp_path, samples_jsonl=f"{line()}\n{line(question='And Elm Vase?')}\n")
    assert not samples.are_scored(old.samples) and samples.are_scored(sample.samples)
    shown = samples.show_page(old, old.samples, 0)
    assert "Oak Kettle" in shown and "Elm Vase" in shown and 'class="change"' not in shown
    assert "does not hold a score for each answer" in visible_text(samples.how_measured(old))
    for order in samples.ORDERS:
        assert samples.choose(old.samples, "all", "any", order, "") == list(old.samples)
    assert samples.choose(old.samples, "all", "wins", "asked", "") == []


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
    lines = [line(scores=scores) for scores in bad]
    found = brought(tmp_path, samples_jsonl="\n".join([*lines, line(scores=GOOD)]))
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
        '{"seen": {"n": 5, "base": {"rougeL": 0.5}, "tuned": {"rougeL": 0.6}, "difference": {"rougeL": '  # noqa: E501
        '{"mean": 0.1, "low": 0.4, "high": -0.2, "wins": -1, "ties": "x", "losses": true}}}}',
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
    found = brought(tmp_path, **{name: text})
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
    found = brought(
        tmp_path,
        samples_jsonl=(line(tuned="oak " * 5_000) + "\n") * 3
        + (line() + "\n") * SAMPLES
        + line(question="x" * 300_000),
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


# --- in words ---


def outcome(each: Scores, metric: str) -> str:
    (found,) = (
        one for one in list_findings([each]) if (one.metric, one.against) == (metric, "base")
    )
    return found.outcome


def test_better_worse_and_not_shown_are_what_the_interval_says():
    assert outcome(scores(low=0.1, high=0.3), "rougeL") == "better"
    assert outcome(scores(tuned=0.1, low=-0.4, high=-0.2), "rougeL") == "worse"
    assert outcome(scores(low=-0.1, high=0.4), "rougeL") == "unclear" == outcome(scores(), "rougeL")
    more_invented = scores(metric="invented_numbers", base=0.1, tuned=0.5, low=0.3, high=0.5)
    assert outcome(more_invented, "invented_numbers") == "worse"
    assert visible_text(lead(list_findings([more_invented]))).endswith(
        "something got worse on learned titles: invented numbers."
    )
    both = [
        scores(low=0.1, high=0.3),
        scores("unseen", low=0.1, high=0.3),
        scores("summary", low=-0.1, high=0.3),
    ]
    assert visible_text(lead(list_findings(both))) == (
        "Fine-tuning made the answers better on learned titles and titles never seen. "
        "No difference is shown on summaries."
    )
    assert "em títulos aprendidos e títulos nunca vistos" in visible_text(
        lead(list_findings(both)), "pt"
    )
    shown = show_findings(Evidence(scores=(scores(low=-0.1, high=0.4),)))
    assert "the 95% interval, from −0.100 to +0.400, holds zero" in visible_text(
        shown
    ) and "−0,100 a +0,400" in visible_text(shown, "pt")


def test_samples_are_chosen_sorted_searched_and_leafed_through(sample):
    every = sample.samples
    lost = samples.choose(every, "unseen", "losses", "losses", "")
    assert lost and all(each.set == "unseen" and each.change < 0 for each in lost)
    assert [each.change for each in lost] == sorted(each.change for each in lost)
    gains = samples.choose(every, "all", "any", "gains", "")
    assert len(gains) == len(every) and gains[0].change >= gains[-1].change
    found = samples.choose(every, "all", "any", "asked", "VIOLIN  lisbon")
    assert found and len(found) < len(every)
    assert not samples.choose(every, "all", "any", "asked", "no such words")
    assert (
        samples.count_pages(0) == 1
        and samples.count_pages(10) == 1
        and samples.count_pages(11) == 2
    )
    last = visible_text(samples.show_page(sample, every, samples.count_pages(len(every)) - 1))
    assert last.startswith(f"831 to {len(every)} of {len(every)}")
    assert "None is like that." in visible_text(samples.show_page(sample, [], 0))


def test_how_the_sample_was_made(sample):
    shown = visible_text(render_made(sample, INFO))
    for words in (
        "2,400 kept of 3,200 lines read",
        "337: without content",
        "LoRA of rank 32 and alpha 64",
        "0.0035",
        "CPU, 2 cores",
        "torch",
        "the contents’ own principal sentences",
        "mit",
        "To decide anything about people.",
    ):
        assert words in shown, words
    assert "2.400 mantidos de 3.200" in visible_text(render_made(sample, INFO), "pt")
    usual = "rank-stabilized" in shown or "EVA" in shown
    ways = Evidence(
        run=sample.run | {"config": sample.run["config"] | {"rank_stabilized": True, "init": "eva"}}
    )
    assert not usual and all(
        words in visible_text(render_made(ways, INFO))
        for words in ("rank-stabilized: alpha over", "begun by EVA")
    )
    assert "iniciados por EVA" in visible_text(render_made(ways, INFO), "pt")
    other = Evidence(run=sample.run, report=sample.report | {"kept": 1})
    assert "without content" not in visible_text(render_made(other, INFO)), (
        "another catalogue's report says nothing of this one"
    )


def test_every_set_and_measure_has_words_in_both_languages():
    from space.evidence.findings import COLUMNS, METRICS, OUTCOMES, SETS, metric_key

    keys = [key for pair in SETS.values() for key in pair]
    keys += [*METRICS.values(), *COLUMNS.values(), *OUTCOMES.values()]
    keys += [metric_key(name, metric) for name in SETS for metric in METRICS]
    assert set(SETS) == set(JUDGED) and set(keys) <= set(TEXTS)
    assert {metric for metrics in JUDGED.values() for metric in metrics} <= set(METRICS)
