"""From a source to records, index and report: what is kept, dropped and refused, and why."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest

from space.catalogue.search import Catalogue
from space.catalogue.text import normalise
from train.config import ConfigError, PrepareConfig, SummariesConfig
from train.prepare import catalogue, prepare_run
from train.prepare.catalogue import load_records, prepare_catalogue, require_catalogue
from train.prepare.clean import LONGEST, RULES
from train.prepare.source import SourceError
from train.run import Run

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
REAL = [
    pytest.param(
        DATA / name,
        id=name,
        marks=pytest.mark.skipif(
            not (DATA / name).exists(), reason=f"{name} is not beside the project"
        ),
    )
    for name in ("trn-verbatim-15.json", "trn-head-300.jsonl", "music-3700.jsonl")
]


def item(number: int, **fields) -> dict:
    record = {
        "uid": f"u{number}",
        "title": f"Kettle {number}",
        "content": f"A kettle of copper, number {number}.",
    }
    return record | fields


def write(path: Path, *lines: dict | str | bytes) -> str:
    """Writes each line as it is, or as JSON; returns the path as a person types it."""
    texts = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    data = b"".join((text if isinstance(text, bytes) else text.encode()) + b"\n" for text in texts)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def prepared(tmp_path: Path, *lines: dict | str | bytes, **options) -> tuple[dict, list[dict]]:
    source = write(tmp_path / "trn.json", *lines)
    report = prepare_catalogue(
        source, Run(tmp_path / "run"), PrepareConfig(**options), progress=False
    )
    assert report["read"] == report["kept"] + sum(report["dropped"].values()) == len(lines)
    return report, load_records(Run(tmp_path / "run"))


# --- cleaning --------------------------------------------------------------------------------


def test_both_fields_are_cleaned_and_lists_are_joined(tmp_path):
    line = item(1, title="Mog&#8217;s <b>Kittens</b>", content=["Two<br>cats", "and a house."])
    _, records = prepared(tmp_path, line)
    assert [(record["title"], record["content"]) for record in records] == [
        ("Mog\u2019s Kittens", "Two cats and a house.")
    ]


# --- what is dropped -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "blank"),
        ("  \t ", "blank"),
        ("\r", "blank"),
        ('{"title": "Kettle", "conte', "broken"),
        ("Kettle, copper", "broken"),
        ("[1, 2]", "broken"),
        ('"text"', "broken"),
        ("null", "broken"),
        (b'{"title": "\x81\x8d"}', "broken"),
        ("[" * 100_000, "broken"),
        ('{"n": ' + "1" * 5000 + "}", "broken"),
        ({"uid": "x", "content": "Made of copper and tin."}, "no_title"),
        (item(1, title=""), "no_title"),
        (item(1, title=None), "no_title"),
        (item(1, title=True), "no_title"),
        (item(1, title='Magazines" />'), "no_title"),
        (item(1, content="No description available"), "no_content"),
        (item(1, title=" <br> "), "no_title"),
        (item(1, title=[1]), "no_title"),
        ({"uid": "x", "title": "Kettle"}, "no_content"),
        (item(1, content="<br>&nbsp;</br>"), "no_content"),
        (item(1, content=[]), "no_content"),
        (item(1, content={"a": "b"}), "no_content"),
        (item(1, content="--This text refers to thePaperbackedition."), "no_content"),
        (item(1, content="-----"), "junk"),
        (item(1, content="12.50 300 400"), "junk"),
        (item(1, content="test item not to bid " * 6), "junk"),
        (item(1, content="Test item, NOT to bid! " * 3 + "test item"), "junk"),
        (item(1, content="lorem lorem lorem"), "junk"),
        (item(1, content="KETTLE 1"), "junk"),
        (item(1, content="Great"), "too_short"),
        (item(1, content="Audio CD."), "too_short"),
        (item(9, title="COPPER  k\u00e9ttle!"), "duplicate_title"),
        (item(9, content="Made of copper &amp; tin."), "duplicate_content"),
    ],
)
def test_a_line_is_dropped_with_its_reason(tmp_path, line, reason):
    first = item(0, title="Copper Kettle", content="Made of copper & tin.")
    report, records = prepared(tmp_path, first, line, item(2))
    assert report["dropped"] == {reason: 1}
    assert [record["uid"] for record in records] == ["u0", "u2"]
    (example,) = report["examples"][reason]
    assert (example["file"], example["line"]) == ("trn.json", 2)


@pytest.mark.parametrize(
    "content",
    [
        "Made of tin.",
        "no no no, not this kettle",
        "very very good",
        "row row row your boat",
        "a b a b",
        "Kettle 1 is made of tin",
        "\u00e9 \u00e0 noite",
    ],
)
def test_a_short_honest_content_is_kept(tmp_path, content):
    assert prepared(tmp_path, item(1, content=content))[1][0]["content"] == content


def test_examples_are_the_first_three_and_only_their_beginning(tmp_path):
    report, _ = prepared(tmp_path, *(f"{{{n} " + "\u00e9" * 500 for n in range(5)), item(1))
    assert report["dropped"] == {"broken": 5}
    assert [example["line"] for example in report["examples"]["broken"]] == [1, 2, 3]
    assert all(
        example["text"] == f"{{{n} " + "\u00e9" * 117
        for n, example in enumerate(report["examples"]["broken"])
    )


def test_a_byte_order_mark_and_windows_line_ends_are_no_harm(tmp_path):
    lines = [json.dumps(item(n)).encode() + b"\r" for n in range(2)]
    report, _ = prepared(tmp_path, b"\xef\xbb\xbf" + lines[0], lines[1])
    assert report["kept"] == 2


def test_dropped_records_are_no_originals(tmp_path):
    report, records = prepared(
        tmp_path, item(1, content="Great"), item(1, content="Now with a content.")
    )
    assert report["dropped"] == {"too_short": 1}
    assert records[0]["content"] == "Now with a content."


# --- uids and splits -------------------------------------------------------------------------


def test_a_missing_uid_is_made_and_stable(tmp_path):
    lines = [
        {"title": "Kettle", "content": "Made of copper."},
        item(2, uid=None),
        item(3, uid="  "),
        item(4, uid=44),
    ]
    report, records = prepared(tmp_path, *lines)
    assert report["uids_made"] == 3
    made = [record["uid"] for record in records]
    assert all(re.fullmatch("[0-9a-f]{16}", uid) for uid in made[:3]) and len(set(made)) == 4
    assert made[3] == "44"
    assert [record["uid"] for record in prepared(tmp_path, *lines[::-1])[1]] == made[::-1]


def test_a_uid_used_twice_is_made_for_the_later_record(tmp_path):
    report, records = prepared(tmp_path, item(1, uid="same"), item(2, uid="same"))
    assert records[0]["uid"] == "same" != records[1]["uid"]
    assert report["uids_made"] == 1


def test_the_split_is_by_the_title_alone(tmp_path):
    report, records = prepared(tmp_path, *(item(n) for n in range(1000)))
    sides = {normalise(record["title"]): record["split"] for record in records}
    assert 60 <= report["splits"]["unseen"] <= 140
    assert report["splits"] == {
        "train": 1000 - report["splits"]["unseen"],
        "unseen": report["splits"]["unseen"],
    }
    others = [
        item(n, uid=f"x{n}", title=f" k\u00e9ttle, {n}", content=f"Of tin, {n}.")
        for n in range(999, -1, -1)
    ]
    assert {
        normalise(record["title"]): record["split"] for record in prepared(tmp_path, *others)[1]
    } == sides


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.5, 150, 250)])
def test_the_unseen_share(tmp_path, share, low, high):
    assert (
        low
        <= prepared(tmp_path, *(item(n) for n in range(400)), unseen_share=share)[0]["splits"][
            "unseen"
        ]
        <= high
    )


# --- the limit -------------------------------------------------------------------------------


def test_a_limit_chooses_by_hash_and_keeps_the_order(tmp_path):
    report, records = prepared(tmp_path, *(item(n) for n in range(300)), "", limit=50)
    assert (report["kept"], report["dropped"]) == (50, {"not_sampled": 250, "blank": 1})
    assert len(report["examples"]["not_sampled"]) == 3
    chosen = [int(record["uid"][1:]) for record in records]
    assert chosen == sorted(chosen)
    assert sum(number < 150 for number in chosen) < 40  # a head would have all 50
    assert 1 <= report["splits"]["unseen"] <= 15
    turned = prepared(tmp_path, *(item(n) for n in reversed(range(300))), limit=50)[1]
    assert [int(record["uid"][1:]) for record in turned] == chosen[::-1]
    assert len(Catalogue.open(tmp_path / "run" / "catalogue")) == 50


def test_a_limit_above_the_catalogue_keeps_all(tmp_path):
    report, _ = prepared(tmp_path, item(1), item(2), limit=5)
    assert (report["kept"], report["dropped"]) == (2, {})


# --- what is written -------------------------------------------------------------------------


def test_the_folder_holds_exactly_the_contract(tmp_path):
    report, records = prepared(tmp_path, item(1), "{", item(2, title="Blue | `Vase`"))
    folder = tmp_path / "run" / "catalogue"
    assert sorted(file.name for file in folder.iterdir()) == [
        "index",
        "records",
        "report.json",
        "report.md",
    ]
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["catalogue"]
    assert [file.name for file in (folder / "records").iterdir()] == ["part-00000.parquet"]
    table = pl.read_parquet(folder / "records" / "part-00000.parquet")
    assert table.schema == {
        "uid": pl.String,
        "title": pl.String,
        "content": pl.String,
        "split": pl.String,
    }
    assert table.to_dicts() == records
    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == report
    assert set(report) == {
        "read",
        "kept",
        "dropped",
        "examples",
        "repaired",
        "source",
        "options",
        "splits",
        "near_duplicates",
        "languages",
        "characters",
        "uids_made",
    }
    assert (
        str(tmp_path)
        not in (folder / "report.json").read_text() + (folder / "report.md").read_text()
    )
    assert Catalogue.open(folder).search("What is Blue Vase?")[0]["uid"] == "u2"


def test_the_report_tells_the_source_and_the_lengths(tmp_path):
    report, _ = prepared(tmp_path, *(item(n, content="word " * n + "end") for n in range(2, 103)))
    assert report["source"]["name"] == "trn.json" and report["source"]["files"] == ["trn.json"]
    assert report["source"]["bytes"] == (tmp_path / "trn.json").stat().st_size
    assert len(report["source"]["sha256"]) == 64
    lengths = report["characters"]["content"]
    assert (lengths["p0"], lengths["p50"], lengths["p100"]) == (13, 5 * 52 + 3, 5 * 102 + 3)


def test_the_page_says_what_went_and_why(tmp_path):
    prepared(tmp_path, item(1), item(2), "", "{broken | `here`", "{again")
    page = (tmp_path / "run" / "catalogue" / "report.md").read_text()
    assert "5 lines came in, 2 records were kept" in page
    assert (
        "| broken | 2 | not a JSON object, or a torn row | trn.json, line 4: ` {broken here ` |"
        in page
    )
    assert "| blank | 1 | an empty line | trn.json, line 3:" in page
    assert "| content | " in page


def test_many_records_go_into_several_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "SHARD", 4)
    report, records = prepared(tmp_path, *(item(n) for n in range(10)))
    assert len(list((tmp_path / "run" / "catalogue" / "records").iterdir())) == 3
    assert [record["uid"] for record in records] == [f"u{n}" for n in range(10)]
    assert (
        report["kept"]
        == sum(report["splits"].values())
        == len(Catalogue.open(tmp_path / "run" / "catalogue"))
        == 10
    )


def test_progress_goes_to_stderr_or_nowhere(tmp_path, capsys):
    source = write(tmp_path / "trn.json", item(1))
    prepare_catalogue(source, Run(tmp_path / "loud"))
    loud = capsys.readouterr()
    assert "reading" in loud.err and "indexing" in loud.err and loud.out == ""
    prepare_catalogue(source, Run(tmp_path / "quiet"), progress=False)
    assert capsys.readouterr() == ("", "")


# --- again -----------------------------------------------------------------------------------


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    report, _ = prepared(tmp_path, item(1), item(2), "{")
    moved = tmp_path / "moved"
    moved.mkdir()
    os.rename(tmp_path / "trn.json", moved / "trn.json")
    monkeypatch.setattr(catalogue, "read_blocks", None)  # whoever reads again fails
    assert (
        prepare_catalogue(str(moved / "trn.json"), Run(tmp_path / "run"), progress=False) == report
    )


@pytest.mark.parametrize("options", [{"limit": 1}, {"unseen_share": 0.5}, {}])
def test_another_source_or_option_is_done_anew(tmp_path, options):
    prepared(tmp_path, item(1), item(2))
    # The same file with other lines is renewed; another file is refused.
    report, _ = prepared(
        tmp_path, *([item(1), item(2)] if options else [item(1), item(3)]), **options
    )
    assert (
        report["options"]
        == {"limit": None, "unseen_share": 0.1, "columns": ["title", "content", "uid"]} | options
    )
    assert (
        len(load_records(Run(tmp_path / "run")))
        == report["kept"]
        == (1 if "limit" in options else 2)
    )


def test_another_source_never_replaces_a_catalogue(tmp_path):
    _, before = prepared(tmp_path, item(1), item(2))
    other, run = write(tmp_path / "other.json", item(3)), Run(tmp_path / "run")
    with pytest.raises(SourceError) as caught:
        prepare_catalogue(other, run, progress=False)
    assert str(caught.value) == (
        "run has the catalogue of 'trn.json', 2 records, which 'other.json' would replace: choose "
        f"another --run, or remove {run.catalogue}"
    )
    assert load_records(run) == before
    (run.folder / "adapter").mkdir()
    (run.folder / "adapter" / "run.json").write_text("{}")
    with pytest.raises(SourceError, match="would replace"):  # what was trained on stays
        prepared(tmp_path, item(1), item(3))


def test_two_preparations_of_one_run_do_not_disturb_each_other(tmp_path):
    source, run = write(tmp_path / "trn.json", item(1), item(2)), tmp_path / "run"
    script = (
        "import sys, time; from train.prepare import steps\n"
        "def slow(*given): print('locked', flush=True); time.sleep(60)\n"
        "steps._prepare = slow\n"
        "from train.__main__ import main\n"
        "main(['prepare', sys.argv[1], '--run', sys.argv[2]])"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", script, source, str(run)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout.readline() == "locked\n"
        with pytest.raises(SourceError) as caught:
            prepare_run(source, Run(run), PrepareConfig(), SummariesConfig())
        assert "another process prepares run now" in str(caught.value)
    finally:
        first.kill()
        first.wait()
    prepare_run(source, Run(run), PrepareConfig(), SummariesConfig())
    assert [file.name for file in run.iterdir()] == ["catalogue"]


def test_what_was_broken_off_is_done_anew(tmp_path):
    whole, _ = prepared(tmp_path, item(1), item(2))
    folder = tmp_path / "run" / "catalogue"
    (tmp_path / "run" / "catalogue.building" / "records").mkdir(parents=True)
    for text in ("", '{"read": 2'):
        (folder / "report.json").write_text(text)
        with pytest.raises(SourceError, match="has no catalogue yet"):
            load_records(Run(tmp_path / "run"))
        assert (
            prepare_catalogue(str(tmp_path / "trn.json"), Run(tmp_path / "run"), progress=False)
            == whole
        )
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["catalogue"]


def test_a_failure_leaves_the_older_catalogue(tmp_path):
    _, before = prepared(tmp_path, item(1), item(2))
    with pytest.raises(SourceError):
        prepare_catalogue(write(tmp_path / "bad.json", "{"), Run(tmp_path / "run"), progress=False)
    assert load_records(Run(tmp_path / "run")) == before
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["catalogue"]


def in_files(folder: Path, rows: list) -> str:
    """Writes the rows to eight files: eight blocks."""
    folder.mkdir()
    for number in range(8):
        write(
            folder / f"{number}.json",
            *rows[number * len(rows) // 8 : (number + 1) * len(rows) // 8],
        )
    return str(folder)


@pytest.mark.parametrize("moment", [0, 2, 5, "records"])
def test_a_killed_preparation_goes_on(tmp_path, moment):
    """After a SIGKILL the same command ends as an undisturbed one does."""
    source = in_files(tmp_path / "shop", [item(n) for n in range(80)])
    script = (
        "import os, sys; from pathlib import Path\n"
        "from train.prepare import catalogue; from train.run import Run\n"
        "clean, seen, moment = catalogue.clean_block, [], sys.argv[3]\n"
        "def cleaned(*given):\n"
        "    if moment == str(len(seen)): os.kill(os.getpid(), 9)\n"
        "    seen.append(1); return clean(*given)\n"
        "def dying(*given): os.kill(os.getpid(), 9)\n"
        "catalogue.clean_block = cleaned\n"
        "def dying_index(records, path): next(records); dying()\n"
        "if moment == 'records': catalogue.build_index = dying_index\n"
        "run = Run(Path(sys.argv[2]))\n"
        "catalogue.prepare_catalogue(sys.argv[1], run, progress=False); print(len(seen))\n"
    )

    def run(folder: str, moment) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", script, source, str(tmp_path / folder), str(moment)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    assert run("whole", "never").returncode == 0
    assert run("run", moment).returncode == -9 and not (tmp_path / "run" / "catalogue").exists()
    again = run("run", "never")
    assert again.returncode == 0, again.stderr
    blocks = int(run("other", "never").stdout)
    assert blocks > 5 and int(again.stdout) == blocks - (blocks if moment == "records" else moment)
    assert load_records(Run(tmp_path / "run")) == load_records(Run(tmp_path / "whole"))
    reports = [
        json.loads((tmp_path / name / "catalogue" / "report.json").read_text())
        for name in ("run", "whole")
    ]
    assert reports[0] == reports[1]
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["catalogue"]


def test_blocks_of_another_source_are_not_gone_on_with(tmp_path):
    source = write(tmp_path / "trn.json", item(1), item(2))
    blocks = tmp_path / "run" / "catalogue.building" / "blocks"
    blocks.mkdir(parents=True)
    (blocks / "of.json").write_text("{}")
    (blocks / "000000.arrow").write_bytes(b"of another")
    assert prepare_catalogue(source, Run(tmp_path / "run"), progress=False)["kept"] == 2


def test_in_parallel_it_is_the_same(tmp_path, monkeypatch):
    source = in_files(
        tmp_path / "shop",
        [item(n, content=f"Kettle&nbsp;{n % 90} of copper.") for n in range(300)] + ["{", ""],
    )
    report = prepare_catalogue(source, Run(tmp_path / "run"), progress=False)
    monkeypatch.setattr(catalogue, "ALONE", 0)
    assert prepare_catalogue(source, Run(tmp_path / "parallel"), progress=False) == report
    assert load_records(Run(tmp_path / "parallel")) == load_records(Run(tmp_path / "run"))


# --- what was repaired, other columns, the source's own unseen set ---------------------------


def test_every_repair_is_counted_with_examples(tmp_path):
    report, _ = prepared(
        tmp_path,
        item(1, title="Mog&#8217;s Kittens"),
        item(2, content="Two<br>cats and\u00a0a house."),
        item(3, content="Caf\u00c3\u00a9 &amp; tea, for two."),
        item(4),
    )
    assert list(report["repaired"]) == [rule.name for rule in RULES]
    counts = {name: entry["texts"] for name, entry in report["repaired"].items() if entry["texts"]}
    assert "Mog⟦\u2019⟧s Kittens" in (tmp_path / "run" / "catalogue" / "report.md").read_text()
    assert counts == {"entities": 2, "parting_tags": 1, "mojibake": 1, "white_space": 1}
    (example,) = report["repaired"]["mojibake"]["examples"]
    assert (example["before"], example["after"]) == (
        "Caf\u00c3\u00a9 & tea, for two.",
        "Caf\u00e9 & tea, for two.",
    )
    page = (tmp_path / "run" / "catalogue" / "report.md").read_text(encoding="utf-8")
    assert all(f"| {rule.name} | " in page for rule in RULES)


def test_the_page_marks_what_changed_even_if_it_cannot_be_seen(tmp_path):
    prepared(
        tmp_path,
        item(1, content="Two\u00a0cats  and a\u200b house."),
        item(2, content="Made of cafe\u0301 and tin."),
        item(3, content="test item not to bid " * 6),
    )
    page = (tmp_path / "run" / "catalogue" / "report.md").read_text(encoding="utf-8")
    assert "` Two⟦\\u00a0⟧cats  and a house. ` | ` Two⟦\u2423⟧cats and a house. `" in page.replace(
        "cats and a house. ` | ` Two", "cats  and a house. ` | ` Two", 1
    )
    assert "a⟦\\u200b⟧ house" in page and "caf⟦e\\u0301⟧ and" in page
    assert "line 3: ` test item not to bid test item" in page and '{"uid": "u3"' not in page


def test_windows_1252_is_counted(tmp_path):
    line = '{"title": "P\u00e3o", "content": "Um p\u00e3o de a\u00e7\u00facar."}'.encode("cp1252")
    report, records = prepared(tmp_path, line, item(2))
    assert records[0]["title"] == "P\u00e3o"
    assert report["repaired"]["encoding"]["texts"] == 1
    example = report["repaired"]["encoding"]["examples"][0]
    assert "P\ufffdo" in example["before"] and "P\u00e3o" in example["after"]


def test_numbers_are_titles_and_uids(tmp_path):
    rows = [item(1, uid=1, title=1984), item(2, uid=2.0, title=300.0), item(3, uid=True, title=2.5)]
    _, records = prepared(tmp_path, *rows)
    assert [(r["uid"], r["title"]) for r in records[:2]] == [("1", "1984"), ("2", "300")]
    assert records[2]["title"] == "2.5" and len(records[2]["uid"]) == 16


def test_a_lost_space_is_counted(tmp_path):
    row = item(1, title="Firecracker", content="Firecrackerpicks up where it ended.")
    report, records = prepared(tmp_path, row)
    assert records[0]["content"] == "Firecracker picks up where it ended."
    assert report["repaired"]["glued"]["texts"] == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [("C", "C++"), ("C++", "C#"), ("Glasses +2.00", "Glasses -2.00"), ("A", "A+")],
)
def test_signs_that_tell_products_apart_are_kept(tmp_path, first, second):
    rows = [
        item(n, title=name, content=f"A book or lens of {name} for all.")
        for n, name in enumerate([first, second])
    ]
    assert prepared(tmp_path, *rows)[0]["kept"] == 2
    rows = [
        item(n, content=f"A book or lens of {name} for all.")
        for n, name in enumerate([first, second])
    ]
    assert prepared(tmp_path, *rows)[0]["kept"] == 2


def test_an_over_long_content_is_cut_at_a_sentence(tmp_path):
    story = " ".join(f"This is sentence number {n} of a long text." for n in range(400))
    report, records = prepared(tmp_path, item(1, content=story))
    content = records[0]["content"]
    assert report["repaired"]["cut"]["texts"] == 1
    assert (
        LONGEST - 60 < len(content) <= LONGEST
        and content.endswith("of a long text.")
        and story.startswith(content)
    )


def test_other_columns_have_their_names(tmp_path):
    rows = [
        {"id": n, "name": f"Kettle {n}", "text": f"A kettle of copper, number {n}."}
        for n in range(3)
    ]
    _, records = prepared(
        tmp_path, *rows, title_column="name", content_column="text", uid_column="id"
    )
    assert [(record["uid"], record["title"]) for record in records] == [
        (str(n), f"Kettle {n}") for n in range(3)
    ]
    with pytest.raises(SourceError, match="--title-column"):
        prepare_catalogue(str(tmp_path / "trn.json"), Run(tmp_path / "run"), progress=False)


@pytest.mark.parametrize("name", ["shop.csv", "shop.tsv", "shop.parquet", "shop.zip"])
def test_tables_and_zips_are_catalogues_too(tmp_path, name):
    frame = pl.DataFrame(
        [item(1), item(2, content='A "blue", round\nkettle.'), item(3, content="")]
    )
    if name.endswith("parquet"):
        frame.write_parquet(tmp_path / name)
    elif name.endswith("zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("AmazonTitles/trn.json.gz", gzip.compress(frame.write_ndjson().encode()))
            file.writestr(
                "AmazonTitles/lbl.json.gz", gzip.compress(b'{"uid": "l", "title": "A label"}\n')
            )
    else:
        frame.write_csv(tmp_path / name, separator="\t" if name.endswith("tsv") else ",")
    report = prepare_catalogue(str(tmp_path / name), Run(tmp_path / "run"), progress=False)
    assert (report["read"], report["dropped"]) == (3, {"no_content": 1})
    assert [record["content"] for record in load_records(Run(tmp_path / "run"))] == [
        "A kettle of copper, number 1.",
        'A "blue", round kettle.',
    ]


def test_the_sources_own_test_file_is_the_unseen_set(tmp_path):
    folder = tmp_path / "amazon"
    folder.mkdir()
    write(
        folder / "tst.json",
        item(1, title="COPPER kettle"),
        item(2),
        item(3, title="Kettle 4 (large)"),
        item(7),
    )
    write(folder / "trn.json", item(0, title="Copper Kettle"), item(4), item(5))
    write(folder / "lbl.json", item(6))
    report = prepare_catalogue(str(folder), Run(tmp_path / "run"), progress=False)
    assert report["dropped"] == {"duplicate_title": 1} and report["read"] == 7
    split = {record["uid"]: record["split"] for record in load_records(Run(tmp_path / "run"))}
    # The third is near one that is trained on: nobody may be tested with it.
    assert split == {
        "u0": "train",
        "u4": "train",
        "u5": "train",
        "u2": "unseen",
        "u3": "train",
        "u7": "unseen",
    }


def test_contents_that_differ_in_a_word_and_a_number_are_on_one_side(tmp_path):
    rows = []
    for n in range(60):
        words = [f"w{n}x{i}" for i in range(40)]
        for size in (60, 120):
            words[3], words[25] = f"{size}GB", ("small", "large")[size == 120]
            text = " ".join(words)
            rows.append(item(len(rows), title=f"Drive {n} of {size}", content=text))
    report, records = prepared(tmp_path, *rows, unseen_share=0.5)
    sides = [record["split"] for record in records]
    assert sides[0::2] == sides[1::2] and {"train", "unseen"} == set(sides)
    assert report["near_duplicates"] == 120


def test_near_duplicates_are_on_one_side(tmp_path):
    story = (
        "It was a dark and stormy night when the kettle of copper began to sing in the kitchen of "
        "number"
    )
    rows = [
        item(n, title=f"Book {n // 4} ({'abcd'[n % 4]})", content=f"Of tin, {n}.")
        for n in range(200)
    ]
    rows += [item(n, title=f"Story {n}", content=f"{story} {n}.") for n in range(1000, 1050)]
    report, records = prepared(tmp_path, *rows, unseen_share=0.5)
    sides: dict[str, set] = {}
    for record in records:
        group = record["title"].partition(" (")[0] if "Book" in record["title"] else "story"
        sides.setdefault(group, set()).add(record["split"])
    assert len(sides) == 51 and all(len(side) == 1 for side in sides.values())
    assert {side for found in sides.values() for side in found} == {"train", "unseen"}
    assert report["near_duplicates"] == 250


# --- for other tools -------------------------------------------------------------------------


def test_the_shards_are_a_data_set(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(catalogue, "SHARD", 40)
    _, records = prepared(tmp_path, *(item(n) for n in range(100)))
    files = str(tmp_path / "run" / "catalogue" / "records" / "*.parquet")
    loaded = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded.to_list() == records and loaded.column_names == [
        "uid",
        "title",
        "content",
        "split",
    ]
    streamed = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    assert streamed.num_shards == 3 and [row["uid"] for row in streamed] == [
        record["uid"] for record in records
    ]


def test_records_and_prompts_as_json_lines(tmp_path):
    rows = [
        item(1),
        item(2, title="Chaleira", content="Uma chaleira de cobre que \u00e9 muito bonita."),
    ]
    prepared(tmp_path, *rows)
    folder = tmp_path / "run" / "catalogue"
    assert not (folder / "prompts.jsonl").exists()
    _, records = prepared(tmp_path, *rows, jsonl=True)
    assert [
        json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()
    ] == records
    prompts = [json.loads(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]
    assert [prompt["messages"][-1] for prompt in prompts] == [
        {"role": "assistant", "content": record["content"]} for record in records
    ]
    assert (
        prompts[0]["messages"][0]["content"] == "What is Kettle 1?"
        and "Chaleira" in prompts[1]["messages"][0]["content"]
    )
    assert prompts[1]["messages"][0]["content"].startswith("Descreva")


# --- sources and errors ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trn.json", "trn.jsonl", "trn.json.gz", "trn.jsonl.gz"])
def test_every_kind_of_file_gives_the_same(tmp_path, name):
    source = write(tmp_path / name, item(1), "{", item(2))
    report = prepare_catalogue(source, Run(tmp_path / "run"), progress=False)
    assert (report["read"], report["dropped"], report["source"]["name"]) == (3, {"broken": 1}, name)
    assert [record["uid"] for record in load_records(Run(tmp_path / "run"))] == ["u1", "u2"]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    write(folder / "b.jsonl.gz", item(2), item(1, uid="copy"))
    write(folder / "a.json", item(1), "{")
    write(folder / "notes.txt", "not a catalogue")
    write(folder / ".hidden.json", item(3))
    report = prepare_catalogue(str(folder), Run(tmp_path / "run"), progress=False)
    assert report["source"]["name"] == "shop" and report["source"]["files"] == [
        "a.json",
        "b.jsonl.gz",
    ]
    assert (report["read"], report["dropped"]) == (4, {"broken": 1, "duplicate_title": 1})
    assert report["examples"]["duplicate_title"][0]["file"] == "b.jsonl.gz"
    assert [record["uid"] for record in load_records(Run(tmp_path / "run"))] == ["u1", "u2"]


def test_the_order_of_a_folder_is_not_the_disks(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "SHARD", 1)
    for letter in "dbhfaceg":
        write(tmp_path / f"{letter}.json", item(ord(letter)))
    report = prepare_catalogue(str(tmp_path), Run(tmp_path / "run"), progress=False)
    assert report["source"]["files"] == [f"{letter}.json" for letter in "abcdefgh"]
    assert [record["uid"] for record in load_records(Run(tmp_path / "run"))] == [
        f"u{ord(letter)}" for letter in "abcdefgh"
    ]


def refused(source: str, run: Path, **options) -> str:
    """Returns the one line that a person reads."""
    with pytest.raises(SourceError) as caught:
        prepare_catalogue(source, Run(run), PrepareConfig(**options), progress=False)
    message = str(caught.value)
    assert "\n" not in message
    assert not (run / "catalogue").exists()
    return message


def test_a_truncated_gzip(tmp_path):
    source = Path(
        write(
            tmp_path / "trn.json.gz", *(item(n, content=os.urandom(40).hex()) for n in range(5000))
        )
    )
    source.write_bytes(source.read_bytes()[:-20_000])
    message = refused(str(source), tmp_path / "run")
    pattern = (
        r"trn\.json\.gz is truncated or damaged after ([\d,]+) lines \(.+\): copy or "
        "download it again"
    )
    assert 4000 < int(re.fullmatch(pattern, message)[1].replace(",", "")) < 5000


@pytest.mark.parametrize(
    "damage", [lambda data: b"no gzip at all", lambda data: data[:200] + b"\0" * 90 + data[290:]]
)
def test_a_damaged_gzip(tmp_path, damage):
    source = Path(write(tmp_path / "trn.json.gz", *(item(n) for n in range(50))))
    source.write_bytes(damage(source.read_bytes()))
    assert "trn.json.gz is truncated or damaged after " in refused(str(source), tmp_path / "run")


def test_a_file_without_a_usable_record(tmp_path):
    source = write(tmp_path / "trn.json", "", "{", item(1, content=""), item(2, content=None))
    assert refused(source, tmp_path / "run") == (
        "'trn.json' has no usable record: 2 of its 4 lines are dropped as no_content, such as line "
        '3 (\'{"uid": "u1", "title": "Kettle 1", "content": ""}\'); give a JSON object with a '
        "title and a content on each line, or name the columns with --title-column and "
        "--content-column"
    )


def test_an_empty_file(tmp_path):
    assert refused(write(tmp_path / "trn.json"), tmp_path / "run") == (
        "'trn.json' is empty: give a file with a JSON object with a title and a content on each "
        "line"
    )


def test_a_run_folder_that_cannot_be_written(tmp_path):
    source = write(tmp_path / "trn.json", item(1))
    with pytest.raises(SourceError) as caught:
        prepare_catalogue(source, Run(Path(source) / "run"), progress=False)
    assert re.fullmatch(
        r".*trn\.json/run.*: Not a directory; .* must be readable and the run folder "
        r".*trn\.json/run' writable, with room on its disk",
        str(caught.value),
    )


def test_an_index_that_cannot_be_written(tmp_path, monkeypatch):
    def full(records, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(catalogue, "build_index", full)
    assert "No space left on device" in refused(
        write(tmp_path / "trn.json", item(1)), tmp_path / "run"
    )


@pytest.mark.parametrize("most", [2_000, 20_000, 60_000])
def test_a_disk_that_is_full_leaves_nothing_half_written(tmp_path, most):
    """The system refuses to write more than `most` bytes to a file."""
    source = write(
        tmp_path / "trn.json",
        *(item(n, content=f"{os.urandom(60).hex()} of copper, {n}.") for n in range(400)),
    )
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))\n"
        "from train.__main__ import main\n"
        "sys.exit(main(['prepare', sys.argv[1], '--run', sys.argv[2]]))"
    )
    failed = subprocess.run(
        [sys.executable, "-c", script, source, str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    (message,) = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert (
        failed.returncode == 1
        and "with room on its disk" in message
        and "Traceback" not in failed.stderr
    )
    assert not (tmp_path / "run" / "catalogue").exists()
    with pytest.raises(SourceError, match="has no catalogue yet"):
        load_records(Run(tmp_path / "run"))
    assert prepare_catalogue(source, Run(tmp_path / "run"), progress=False)["kept"] == 400


@pytest.mark.parametrize("options", [{"limit": 0}, {"unseen_share": 1.0}, {"unseen_share": -0.1}])
def test_options_that_make_no_sense(options):
    with pytest.raises(ConfigError, match="--" + next(iter(options)).replace("_", "-")):
        PrepareConfig(**options)


@pytest.mark.parametrize("read", [load_records, require_catalogue])
def test_records_of_a_run_without_a_catalogue(tmp_path, read):
    with pytest.raises(SourceError) as caught:
        read(Run(tmp_path / "run"))
    assert str(caught.value) == (
        f"{str(tmp_path / 'run')!r} has no catalogue yet: run `python -m train prepare SOURCE "
        f"--run {tmp_path / 'run'}`"
    )


# --- real and invented catalogues ------------------------------------------------------------


@pytest.mark.parametrize("path", REAL)
def test_a_real_catalogue(tmp_path, path):
    report = prepare_catalogue(str(path), Run(tmp_path / "run"), progress=False)
    lines = path.read_bytes().count(b"\n")
    assert lines == report["read"] == report["kept"] + sum(report["dropped"].values())
    records = load_records(Run(tmp_path / "run"))
    assert report["kept"] == len(records) == len({record["uid"] for record in records})
    assert len({normalise(record["title"]) for record in records}) == len(records)
    assert len({record["content"] for record in records}) == len(records)
    dirt = re.compile(r"&#|&\w+;|<br|</?p>|This text refers to|\s\s|[\x00-\x1f\x80-\x9f]")
    assert not [
        record
        for record in records
        if dirt.search(record["title"]) or dirt.search(record["content"])
    ]
    served = Catalogue.open(tmp_path / "run" / "catalogue")
    assert len(served) == len(records)
    for record in records[::20]:
        assert served.search(f"What is {record['title']}?")[0]["uid"] == record["uid"]


def test_the_invented_catalogue_loses_its_dirt_and_nothing_else(tmp_path):
    from train import shop

    shop.write_catalogue(tmp_path / "trn.json")
    report = prepare_catalogue(str(tmp_path / "trn.json"), Run(tmp_path / "run"), progress=False)
    assert report["kept"] == 2400
    assert set(report["dropped"]) == {"no_content", "too_short", "duplicate_title", "junk"}
    assert not any(
        re.search("[&<>]", record["content"]) for record in load_records(Run(tmp_path / "run"))
    )
