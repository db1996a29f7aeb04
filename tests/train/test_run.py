"""A run's folder: what is written to it is read back."""

from dataclasses import asdict

from train.config import FitConfig
from train.run import Run, read_jsonl, to_json, to_jsonl, write_atomic


def test_lines_hold_any_text(tmp_path):
    """A model may generate the line separators that JSON need not escape."""
    rows = [{"answer": "one\u2028two\u2029\x85three\r\nfour\x0c"}, {"answer": ""}]
    write_atomic(tmp_path / "rows.jsonl", to_jsonl(rows))
    assert read_jsonl(tmp_path / "rows.jsonl") == rows


def test_a_run_from_before_an_option_goes_on_without_it(tmp_path):
    older = asdict(FitConfig(base="x"))
    del older["asked"], older["unstated"]
    (tmp_path / "config.json").write_text(to_json(older))
    assert Run(tmp_path).fit_config() == FitConfig(base="x", asked=0.0)
