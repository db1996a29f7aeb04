"""docs/mistakes.py, which the course pages name: each shows its mistake on the sample."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*names: str) -> str:
    done = subprocess.run(
        [sys.executable, "docs/mistakes.py", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_experiments_without_a_model_show_their_mistake():
    out = run("rows", "entities", "four", "labels")
    assert re.search(r"seen: token F1 0\.\d+ tuned", out)
    raw, stripped, read = re.search(
        r"raw '(.+)', stripped of signs '(.+)', read first '(.+)'", out
    ).groups()
    assert "&" in raw and len(stripped) > len(read)
    shares = [int(share) for share in re.findall(r"of four answers (\d+)% say the opposite", out)]
    assert len(shares) == 5 and all(0 <= share <= 60 for share in shares)
    assert "8 lines are no_content" in out and "'nan'" in out


@pytest.mark.slow
def test_padding_as_labels_hides_what_the_answers_cost():
    found = re.findall(r"loss of the ([\w ]+): (\d+\.\d+) over ([\d,]+) tokens", run("padding"))
    counts = {name: int(count.replace(",", "")) for name, _, count in found}
    assert counts["answer"] < counts["row"] < counts["row and padding"] == 8 * 511
    losses = {name: float(loss) for name, loss, _ in found}
    assert losses["answer"] > 0 and losses["row and padding"] != losses["answer"]


def test_an_unknown_experiment_is_named():
    done = subprocess.run(
        [sys.executable, "docs/mistakes.py", "luck"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1 and "error: 'luck' is not one of padding, rows" in done.stderr


@pytest.mark.parametrize("page", ["course.md", "curso.md"])
def test_the_course_pages_name_every_experiment_and_only_verbs_that_there_are(page):
    from docs.mistakes import EXPERIMENTS
    from train.__main__ import build_parser

    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert re.findall(r"docs/mistakes\.py (\w+)", text) == list(EXPERIMENTS)
    parser = build_parser()
    for call in re.findall(r"`python -m train ([^`]+ [^`]+)`", text):
        parser.parse_args(call.split())
