"""JSON documents that are not lines: each record comes once, in bounded memory."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.prepare import source
from train.prepare.source import (
    BROKEN,
    OVERSIZED,
    SourceError,
    find_parts,
    parse_line,
    read_blocks,
)

RECORDS = [
    {"uid": f"u{n}", "title": f'Jug "{n}"', "content": "Um jarro {de} barro, [caf\u00e9]\\."}
    for n in range(5)
]
ARRAY = json.dumps(RECORDS, ensure_ascii=False)
PRETTY = json.dumps(RECORDS, indent=2, ensure_ascii=False)
EACH = "\n".join(json.dumps(record, indent=1) for record in RECORDS)
DOCUMENTS = {
    "array": ARRAY,
    "pretty": PRETTY,
    "a record a line": "[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n",
    "values": EACH,
    "wrapped": json.dumps({"shop": "Jugs", "pages": [1, 2], "products": RECORDS}),
    "wrapped, pretty": json.dumps({"data": {"products": RECORDS}, "n": 5}, indent=1),
    "windows": "\ufeff" + PRETTY.replace("\n", "\r\n"),
}


def records(tmp_path, text: str | bytes) -> list[dict | str]:
    path = tmp_path / "shop.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = []
    for block in read_blocks(find_parts(path)):
        assert block.line == len(found) + 1
        found += map(parse_line, block.lines)
    return found


@pytest.mark.parametrize("form", DOCUMENTS)
@pytest.mark.parametrize("piece", [1, 7, 2**20])
def test_every_form_gives_the_records(tmp_path, monkeypatch, form, piece):
    monkeypatch.setattr(source, "PIECE", piece)
    assert records(tmp_path, DOCUMENTS[form]) == RECORDS


def test_a_wrapped_list_longer_than_the_head_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "JSON_HEAD", 120)
    assert records(tmp_path, DOCUMENTS["wrapped"]) == RECORDS


def test_one_record_with_a_list_of_objects_is_a_record(tmp_path):
    record = RECORDS[0] | {"variants": [{"sku": 1}, {"sku": 2}]}
    assert records(tmp_path, json.dumps(record)) == [record]
    assert records(tmp_path, json.dumps(record, indent=1)) == [record]


@pytest.mark.parametrize("first", ["{torn", '{"a": [{"b": 1', "[1, 2]", "[", '{"title": "x",'])
def test_json_lines_with_a_bad_first_line_stay_lines(tmp_path, first):
    lines = [first, *map(json.dumps, RECORDS)]
    assert records(tmp_path, "\n".join(lines)) == ["broken", *RECORDS]


def test_what_stands_between_records_is_counted(tmp_path):
    text = "[" + json.dumps(RECORDS[0]) + ', null, "x", ' + json.dumps(RECORDS[1]) + ", 7]"
    found = records(tmp_path, text)
    assert found == [RECORDS[0], "broken", RECORDS[1], "broken"]


def test_a_torn_quote_costs_its_record(tmp_path):
    text = PRETTY.replace('"u1"', '"u1', 1)
    found = records(tmp_path, text)
    assert found == [RECORDS[0], "broken", *RECORDS[2:]]


@pytest.mark.parametrize("text", [ARRAY[:-30], ARRAY[:-1], PRETTY[:-40]])
def test_a_document_that_breaks_off_is_refused(tmp_path, text):
    with pytest.raises(SourceError, match=r"shop\.json is truncated or damaged after [45] records"):
        records(tmp_path, text)


def test_brackets_without_end_are_refused(tmp_path):
    with pytest.raises(SourceError, match="10,000 brackets inside one another"):
        records(tmp_path, '[{"a":' + "[" * 20_000)


def test_a_record_that_is_too_long_is_marked_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "LONGEST_LINE", 2**20)
    long = json.dumps({"title": "Long", "content": "x" * (60 * 2**20)})
    text = f"[{json.dumps(RECORDS[0])}, {long}, {json.dumps(RECORDS[1])}]"
    (tmp_path / "shop.json").write_text(text)
    tracemalloc.start()
    found = [line for block in read_blocks(find_parts(tmp_path)) for line in block.lines]
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    assert found[1].startswith(OVERSIZED) and len(found[1]) < 5000
    assert [parse_line(line) for line in found] == [RECORDS[0], "oversized", RECORDS[1]]


INTEGERS = st.integers(-(2**63), 2**63 - 1)  # what orjson reads; larger ones become floats


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.lists(INTEGERS)),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([None, 1]),
    st.integers(1, 30),
)
def test_any_array_is_read(tmp_path_factory, items, indent, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "PIECE", piece)
        text = json.dumps(items, indent=indent, ensure_ascii=False)
        assert records(tmp_path_factory.getbasetemp(), text.encode()) == items


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*'{}[]",:\\\n ', '"a"', "1", '{"title": "a"}', "\u00e9"])))
def test_any_text_is_records_or_refused(tmp_path_factory, parts):
    text = "[{" + "".join(parts)
    try:
        found = records(tmp_path_factory.getbasetemp(), text)
    except SourceError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(item, dict) or item in ("broken", "blank") for item in found)


def test_the_marks_are_no_json():
    assert parse_line(BROKEN + b"{}") == "broken"
