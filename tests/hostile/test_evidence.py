"""Evidence, cards and catalogues that mean harm: bounded in time, and one line."""

import json
import os
import time

import pytest

from space.catalogue import open_index
from space.errors import CatalogueError
from space.page.html import samples
from space.page.html.findings import show_findings
from space.page.tabs.made import find_limits, render_made
from tests.evidence import read_files, sample_line
from tests.fake_engine import INFO

SECONDS = 5  # on a busy machine; each took over 20 s, or no end was seen


@pytest.mark.parametrize(
    "card",
    [
        "# limits " * 400_000,
        "# limits\n" * 400_000,
        "#" * 3_900_000,
        ("# " + "x" * 50 + "\n") * 70_000,
        "# limit " + " " * 3_900_000,
        "---\n" + "license:" * 400_000,
        "---\n" + "a\n" * 1_500_000,
        "# Limits\n" + "word " * 700_000,
    ],
    ids=range(8),
)
def test_a_cards_limits_are_found_in_linear_time(tmp_path, card):
    found = read_files(tmp_path, README_md=card)
    started = time.monotonic()
    page = render_made(found, INFO)
    assert time.monotonic() - started < SECONDS and len(page) < 50_000


def test_a_cards_limits_are_its_own_words():
    card = (
        "# Model\nx\n\n## Known limitations\n\nIt knows\none shop.\n\n## Licence\nMIT\n# Limits\nno"
    )
    assert find_limits(card) == "It knows one shop."
    assert find_limits("# Limites\nSó uma loja.") == "Só uma loja."
    assert find_limits("# Limits\n# Next\nx") == find_limits("no heading, limits") == ""


@pytest.mark.parametrize("text", [" " * 4000, "[" * 4000, "1," * 2000, "a.b@" * 1000, "-" * 4000])
def test_texts_of_samples_take_little_time(tmp_path, text):
    line = sample_line(question="q" + text, reference=text, base=text, tuned=text)
    found = read_files(tmp_path, samples_jsonl=(line + "\n") * 300)
    started = time.monotonic()
    show_findings(found)
    for words in ("", "a", text):
        chosen = samples.choose(found.samples, "all", "any", "gains", words)
        samples.show_page(found, chosen, 0)
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "1" * 10_000, "\x00", "null"]
)
def test_any_json_is_read_as_far_as_it_goes(tmp_path, text):
    names = ("metrics_json", "run_json", "samples_jsonl", "history_jsonl")
    found = read_files(tmp_path, **dict.fromkeys(names, text))
    assert not found.samples and not found.scores and render_made(found, INFO)


@pytest.mark.parametrize("name", ["complete.json", "meta.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "deep"])
def test_an_index_has_regular_files(tmp_path, name, kind):
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "complete.json").write_text(json.dumps({"format": 2, "records": 1}))
    (folder / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "device":
        (folder / name).symlink_to("/dev/zero")
    else:
        (folder / name).write_text("[" * 9_000)
    with pytest.raises(CatalogueError) as caught:
        open_index(tmp_path)
    assert "\n" not in str(caught.value)
