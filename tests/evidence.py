"""Files beside an adapter as tests write them, and scores as they are read."""

import json
import re
from pathlib import Path

from space.evidence.files import Evidence, read_evidence
from space.evidence.findings import JUDGED, Change, Scores

EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


def read_files(folder: Path, **files) -> Evidence:
    """What is read of a folder with these files: `samples_jsonl` for samples.jsonl, and so on.

    A value that is no text is written as JSON.
    """
    folder.mkdir(exist_ok=True)
    for name, value in files.items():
        path = folder / re.sub("_(jsonl?|md)$", r".\1", name)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return read_evidence(folder, None)


def sample_line(name="seen", **changes) -> str:
    """A line of samples.jsonl."""
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


def set_scores(name="seen", metric="rougeL", base=0.4, tuned=0.6, **change) -> Scores:
    """One set's scores in one metric."""
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
