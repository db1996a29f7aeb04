"""Two catalogues compared, and what was learned stays on the training side."""

import json

import polars as pl

from train.prepare.catalogue import prepare_catalogue
from train.prepare.changes import compare_catalogues, keep_learned
from train.run import Run, read_json


def write(folder, rows, shard=0):
    (folder / "records").mkdir(parents=True, exist_ok=True)
    columns = {
        name: [row[i] for row in rows] for i, name in enumerate(("title", "content", "split"))
    }
    frame = pl.DataFrame({"uid": [row[0] for row in rows], **columns})
    frame.write_parquet(folder / "records" / f"part-{shard:05}.parquet")


def splits(folder):
    found = {}
    for path in sorted((folder / "records").glob("*.parquet")):
        frame = pl.read_parquet(path)
        found |= dict(zip(frame["title"], frame["split"], strict=True))
    return found


def test_added_changed_and_removed_are_told_by_the_title(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    write(old, [("Red Lamp", "costs 9.90", "train"), ("Vase", "blue", "train")])
    write(old, [("Chair", "oak", "unseen"), ("Sofa", "red", "train")], shard=1)
    write(new, [("RED  lamp", "costs 99.0", "train"), ("Vase", "blue", "unseen")])
    write(new, [("Table", "ash", "train"), ("Chair", "oak", "unseen")], shard=1)
    found = compare_catalogues(old, new)
    assert (found.added, found.changed, found.removed, found.kept) == (1, 1, 1, 2)
    assert found and str(found) == (
        "1 added (such as 'Table'), 1 changed (such as 'RED  lamp'), "
        "1 removed (such as 'Sofa'); 2 as they were"
    )
    assert not compare_catalogues(old, old)


def test_what_was_learned_is_never_held_out_again(tmp_path):
    lines = [
        {
            "title": f"Lamp number {index} of {word}",
            "content": f"{word} {index} is a lamp of {word}.",
        }
        for index in range(40)
        for word in ("oak", "ash", "elm")
    ]
    (tmp_path / "x.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = Run(tmp_path / "run")
    prepare_catalogue(str(tmp_path / "x.json"), run, progress=False)
    sides = splits(run.catalogue)
    unseen = [title for title, side in sides.items() if side == "unseen"]
    assert len(unseen) >= 3
    contents = {line["title"]: line["content"] for line in lines}
    learned = [(unseen[0].upper(), "other words", "train"), ("Other", contents[unseen[1]], "train")]
    write(tmp_path / "old", [*learned, (unseen[2], contents[unseen[2]], "unseen")])
    before = run.catalogue_report()
    assert keep_learned(tmp_path / "old", run) == 2
    now = splits(run.catalogue)
    moved = {title for title in now if now[title] != sides[title]}
    assert moved == set(unseen[:2]) and all(now[title] == "train" for title in moved)
    report = read_json(run.catalogue / "report.json")
    assert report["splits"] == {
        "train": before["splits"]["train"] + 2,
        "unseen": before["splits"]["unseen"] - 2,
    }
    assert report["read"] == report["kept"] + sum(report["dropped"].values())
    assert keep_learned(tmp_path / "old", run) == 0
    # A finished preparation stays finished.
    assert prepare_catalogue(str(tmp_path / "x.json"), run, progress=False) == report
