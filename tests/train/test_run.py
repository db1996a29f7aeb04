"""A run's folder: what is written to it is read back."""

from train.run import read_jsonl, to_jsonl, write_atomic


def test_lines_hold_any_text(tmp_path):
    """A model may generate the line separators that JSON need not escape."""
    rows = [{"answer": "one\u2028two\u2029\x85three\r\nfour\x0c"}, {"answer": ""}]
    write_atomic(tmp_path / "rows.jsonl", to_jsonl(rows))
    assert read_jsonl(tmp_path / "rows.jsonl") == rows
