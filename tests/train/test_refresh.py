"""A published adapter brought up to a new catalogue, on a Hub of its own, killed and undone."""

import json
import shutil
from collections import Counter

import pytest

import train.refresh
from train.__main__ import main
from train.evaluate import WorseError
from train.prepare import load_records
from train.run import Run

pytestmark = pytest.mark.slow
NAME, CATALOGUE = "ana/shop", "ana/shop-catalogue"


@pytest.fixture
def published(hub, tuned_run, tmp_path):
    """The Hub with the tiny run on it, as `publish` sends it."""
    run = tmp_path / "shop"
    shutil.copytree(tuned_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    assert main(["publish", "--run", str(run), "--to", NAME]) == 0
    return hub


@pytest.fixture
def source(tuned_run, tmp_path):
    """The catalogue a week later: three lines less, one changed, two more."""
    lines = (tuned_run.parent / "trn.json").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    kept = {record["title"] for record in load_records(Run(tuned_run))}
    counts = Counter(str(record["title"]).casefold() for record in records)
    single = [
        each for each in records if each["title"] in kept and counts[each["title"].casefold()] == 1
    ]
    single[3]["content"] += " It now comes with a lid of cork."
    records = [record for record in records if record not in single[:3]]
    for title in ("Marrow Lantern", "Quill Samovar"):
        words = f"The {title} is of copper, weighs 2 kg and was made by hand in a small workshop."
        records.append({"uid": title.replace(" ", ""), "title": title, "content": words})
    path = tmp_path / "week2.json"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def call(source, tiny_base, tmp_path):
    """The command, with a learning rate at which the adapter stays what it is."""
    options = {
        "--from": NAME,
        "--base": str(tiny_base),
        "--run": str(tmp_path / "work"),
        "--items": "3",
        "--shots": "0",
        "--max-steps": "2",
        "--learning-rate": "1e-9",
    }
    words = ["refresh", str(source)]
    for name, value in options.items():
        words += [name, value]
    return words


def heads(hub):
    return hub.repo(NAME).head, hub.repo(CATALOGUE, "datasets").head


def files_of(hub):
    return dict(hub.repo(NAME).files), dict(hub.repo(CATALOGUE, "datasets").files)


def one_line(capsys):
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("error: ")
    return line


def test_killed_at_every_step_it_goes_on_and_what_it_published_can_be_undone(
    published, call, capsys, monkeypatch, tmp_path
):
    first, before = heads(published), files_of(published)
    for name in ("prepare_run", "keep_learned", "fit_run", "evaluate_run", "compare_runs"):
        step = getattr(train.refresh, name)

        def killed(*arguments, step=step):
            step(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(train.refresh, name, killed)
            assert main(call) == 1
        assert "stopped; the same command goes on from here" in one_line(capsys)
        assert heads(published) == first, name
    # Between the adapter and its catalogue, too.
    published.fail("POST", "/api/datasets/.*/commit/", 403)
    assert main(call) == 1
    assert "HTTP 403" in one_line(capsys)
    adapter, catalogue = heads(published)
    assert adapter != first[0] and catalogue == first[1]
    assert main(call) == 0
    out = capsys.readouterr().out
    assert "2 added (such as 'Marrow Lantern', 'Quill Samovar'), 1 changed" in out
    assert "3 removed" in out
    assert "fit: done already" in out
    assert heads(published)[0] == adapter and heads(published)[1] != catalogue
    files = published.repo(NAME).files
    record = json.loads(files["run.json"])
    assert record["refreshed_from"] == {
        "adapter": {"repo": NAME, "commit": first[0]},
        "catalogue": {"repo": CATALOGUE, "commit": first[1]},
    }
    assert record["config"]["start"].startswith("sha256:") and str(tmp_path) not in str(record)
    assert b"tmp" not in files["README.md"]
    # Again: what is published is what the catalogue has.
    assert main(call) == 0
    assert "nothing is new" in capsys.readouterr().out
    assert heads(published)[0] == adapter
    assert main(["refresh", "--from", NAME, "--back"]) == 0
    now = files_of(published)
    for there, was in zip(now, before, strict=True):
        assert {name: there[name] for name in was} == was
    assert not [name for name in now[1] if name not in before[1]]
    assert main(["refresh", "--from", NAME, "--back"]) == 1
    assert "nothing to undo" in one_line(capsys)


def test_what_is_worse_is_not_published(published, call, capsys, monkeypatch, tmp_path):
    first = heads(published)

    def shut(*arguments):
        raise WorseError("the gate is shut: right fell.")

    with monkeypatch.context() as patch:
        patch.setattr(train.refresh, "compare_runs", shut)
        assert main(call) == 1
    assert f"right fell. {NAME} stays as it is published" in one_line(capsys)
    assert heads(published) == first
    assert json.loads((tmp_path / "work/refresh.json").read_text())["outcome"] == "worse"


def test_who_publishes_meanwhile_is_not_overwritten(published, call, capsys, monkeypatch):
    compare_runs = train.refresh.compare_runs

    def and_somebody_commits(*arguments):
        published.repo(NAME).commit({"notes.md": b"mine"})
        return compare_runs(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(train.refresh, "compare_runs", and_somebody_commits)
        assert main(call) == 1
    assert "was changed while this ran" in one_line(capsys)
    assert len(published.repo(NAME).commits) == 3
    assert main([*call, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "begins anew, ana/shop was changed meanwhile" in out and "model ana/shop" in out
    assert len(published.repo(NAME).commits) == 3


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("models", {"metrics.json": None}, "is not complete, without metrics.json"),
        ("models", {"run.json": b"[]"}, "run.json of ana/shop is not what fit writes"),
        ("datasets", {"report.json": b"{}"}, "has no report.json of a catalogue"),
    ],
)
def test_what_is_half_published_is_refused_before_anything_is_done(
    published, call, capsys, kind, change, words
):
    repo = published.repo(NAME if kind == "models" else CATALOGUE, kind)
    repo.commit(change)
    first = heads(published)
    assert main(call) == 1
    assert words in one_line(capsys) and heads(published) == first


def test_a_catalogue_that_is_not_the_adapters_is_refused(published, call, capsys):
    repo = published.repo(CATALOGUE, "datasets")
    report = json.loads(repo.files["report.json"])
    repo.commit({"report.json": json.dumps(report | {"kept": report["kept"] - 1}).encode()})
    assert main(call) == 1
    assert "learned another catalogue than ana/shop-catalogue has (kept" in one_line(capsys)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--from", NAME], "give the new catalogue's SOURCE, or --back and no SOURCE"),
        (["x.json", "--from", NAME, "--back"], "give the new catalogue's SOURCE, or --back"),
        (["x.json"], "--from is missing"),
        (["x.json", "--from", "shop"], "--from is 'shop', which is no repository"),
    ],
)
def test_a_wrong_call(capsys, words, line):
    assert main(["refresh", *words]) == 2
    assert line in one_line(capsys)


def test_a_folder_with_other_files_is_left_alone(published, call, capsys, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("mine")
    assert main(call) == 2
    assert "has other files than a refresh's" in one_line(capsys)
    assert (tmp_path / "work" / "thesis.txt").read_text() == "mine"


def test_back_takes_both_back_and_goes_on_after_a_failure(hub, capsys):
    adapter, catalogue = hub.create(NAME), hub.create(CATALOGUE, "datasets")
    old = {"run.json": b"{}", "adapter_model.safetensors": b"old", "README.md": b"card"}
    origin = {"adapter": {"repo": NAME, "commit": adapter.commit(old)}}
    shards = {"records/part-00000.parquet": b"old", "index/a.idx": b"old", "report.json": b"{}"}
    origin["catalogue"] = {"repo": CATALOGUE, "commit": catalogue.commit(shards)}
    record = {"refreshed_from": origin}
    adapter.commit(
        {"run.json": json.dumps(record).encode(), "adapter_model.safetensors": b"new"}
        | {"notes.md": b"the owner's"}
    )
    catalogue.commit(
        {"records/part-00001.parquet": b"new", "index/a.idx": None, "index/b.idx": b"n"}
    )
    back = ["refresh", "--from", NAME, "--back"]
    assert main([*back, "--dry-run"]) == 0
    assert f"would put {NAME} back" in capsys.readouterr().out and len(adapter.commits) == 3
    hub.fail("POST", "/api/models/.*/commit/", 403)
    assert main(back) == 1
    assert "HTTP 403" in one_line(capsys)
    assert main(back) == 0
    assert adapter.files == {
        ".gitattributes": adapter.files[".gitattributes"],
        "notes.md": b"the owner's",
        **old,
    }
    assert catalogue.files == {".gitattributes": catalogue.files[".gitattributes"], **shards}
    assert (len(adapter.commits), len(catalogue.commits)) == (4, 4)
    assert main(back) == 1
    assert "as it was first published: nothing to undo" in one_line(capsys)


@pytest.mark.parametrize(
    "record",
    [
        b"[]",
        b'{"refreshed_from": 1}',
        b'{"refreshed_from": {"adapter": {"repo": "bob/x", "commit": "a"}}}',
        b'{"refreshed_from": {"adapter": {"repo": "bob/x", "commit": "a"}, '
        b'"catalogue": {"repo": "bob/y", "commit": "b"}}}',
    ],
)
def test_back_trusts_no_origin_of_another_repository(hub, capsys, record):
    hub.create(NAME).commit({"run.json": record})
    assert main(["refresh", "--from", NAME, "--back"]) == 1
    assert "nothing to undo" in one_line(capsys)
    assert len(hub.repo(NAME).commits) == 2
