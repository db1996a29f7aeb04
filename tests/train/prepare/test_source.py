"""From any file to numbered lines: each once, in bounded memory, and what cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import re
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from train.prepare import source
from train.prepare.encoding import decode_text
from train.prepare.source import (
    BROKEN,
    KINDS,
    OVERSIZED,
    Columns,
    SourceError,
    check_columns,
    find_parts,
    identify_source,
    parse_line,
    read_blocks,
    split_lines,
)

ROOT = Path(__file__).resolve().parents[3]
RECORDS = [
    {
        "uid": f"u{number}",
        "title": f"Kettle {number}",
        "content": 'Made of copper, "hand" made.\nCaf\u00e9.',
    }
    for number in range(7)
]
LINES = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)


def separated(delimiter: str = ",", records=RECORDS) -> bytes:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, ["uid", "title", "content"], delimiter=delimiter)
    table.writeheader()
    table.writerows(records)
    return text.getvalue().encode()


def parquet(records=RECORDS, **options) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), file, **options)
    return file.getvalue()


def zipped(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def numbered(path: Path, size: int = 2**23) -> list[tuple[int, bytes]]:
    """Returns each line with its number; checks that a block's lines follow those before."""
    found, last = [], {}
    for block in read_blocks(find_parts(path), size=size):
        assert block.lines and block.line > last.get(block.part, 0)
        last[block.part] = block.line + len(block.lines) - 1
        found += enumerate(block.lines, start=block.line)
    return found


def texts(path: Path, size: int = 2**23) -> list[bytes]:
    return [line for _, line in numbered(path, size)]


def refused(path: Path) -> str:
    """Returns the one line that a person reads."""
    with pytest.raises(SourceError) as caught:
        numbered(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- every kind gives the same ---------------------------------------------------------------

FORMS = {
    "trn.json": LINES,
    "trn.jsonl": LINES,
    "TRN.JSON": LINES,
    "trn.json.gz": gzip.compress(LINES),
    "trn.jsonl.gz": gzip.compress(LINES),
    "trn.csv": separated(),
    "trn.csv.gz": gzip.compress(separated()),
    "trn.tsv": separated("\t"),
    "semicolons.csv": separated(";"),
    "trn.parquet": parquet(),
    "stored.zip": zipped({"trn.json": LINES}, zipfile.ZIP_STORED),
    "trn.zip": zipped(
        {
            "LF/readme.txt": b"x",
            "LF/trn.json.gz": gzip.compress(LINES),
            "__MACOSX/LF/._trn.json.gz": b"x",
        }
    ),
    "tables.zip": zipped({"trn.csv": separated()}),
    "columns.zip": zipped({"trn.parquet": parquet()}),
    "bom.json": b"\xef\xbb\xbf" + LINES,
    "windows.json": LINES.replace(b"\n", b"\r\n"),
    "bom.csv": b"\xef\xbb\xbf" + separated(),
    "members.json.gz": gzip.compress(LINES[:100]) + gzip.compress(LINES[100:]) + b"\0" * 2**19,
    "unended.json": LINES[:-1],
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("size", [1, 300, 2**23])
def test_every_kind_gives_the_same(tmp_path, name, size, monkeypatch):
    monkeypatch.setattr(source, "PIECE", 50)
    path = written(tmp_path / name, FORMS[name])
    assert [parse_line(line) for line in texts(path, size)] == RECORDS
    (part,) = find_parts(path)
    with tqdm(total=part.bytes, file=io.StringIO()) as bar:
        list(read_blocks([part], bar))
        assert bar.n == part.bytes > 0


def test_every_kind_is_tried():
    assert all(any(name.lower().endswith(kind) for name in FORMS) for kind in KINDS)


def test_the_bar_moves_while_a_part_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "PACKED_READ", 100)
    monkeypatch.setattr(source, "PIECE", 100)
    monkeypatch.setattr(source, "JSON_HEAD", 200)
    data = os.urandom(20_000).hex().encode().replace(b"0", b"\n")
    packed = gzip.compress(data)
    for name, text in {
        "a.json": data,
        "a.json.gz": packed,
        "a.zip": zipped({"a.json.gz": packed}),
    }.items():
        (part,) = find_parts(written(tmp_path / name, text))
        with tqdm(total=part.bytes, file=io.StringIO()) as bar:
            seen = [bar.n for _ in read_blocks([part], bar, size=100)]
        assert seen == sorted(seen) and seen[len(seen) // 2] in range(
            part.bytes // 4, 3 * part.bytes // 4
        ), name


# --- parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_or_zip_is_read_by_name_the_unseen_set_last_and_labels_not_at_all(
    tmp_path, packed
):
    members = {
        "tst.json": LINES,
        "x/tst.json" if packed else "zoo.json": LINES,
        "trn.json": LINES,
        "lbl.json": LINES,
        "filter_labels_test.txt": b"1 2",
        ".hidden.json": LINES,
    }
    if packed:
        path = written(tmp_path / "lf.zip", zipped(members))
    else:
        path = tmp_path / "lf"
        for name, data in members.items():
            written(path / name, data)
    parts = find_parts(path)
    names = ["trn.json", "tst.json", "tst.json"] if packed else ["trn.json", "zoo.json", "tst.json"]
    assert [part.name for part in parts] == names
    assert [part.unseen for part in parts] == [name == "tst.json" for name in names]
    assert all(part.path == path if packed else part.path.parent == path for part in parts)


def test_labels_alone_are_a_catalogue(tmp_path):
    assert [part.name for part in find_parts(written(tmp_path / "lbl.json", LINES))] == ["lbl.json"]


def test_identity_tells_what_is_in_a_source(tmp_path):
    import hashlib

    path = written(tmp_path / "one" / "lf.zip", zipped({"a/trn.json": LINES, "tst.json": LINES}))
    parts = find_parts(path)
    first = identify_source(str(path), parts)
    assert first == {
        "name": "lf.zip",
        "files": ["trn.json", "tst.json"],
        "bytes": sum(part.bytes for part in parts),
        "sha256": hashlib.sha256(hashlib.sha256(path.read_bytes()).digest()).hexdigest(),
    }
    assert identify_source("https://me:pass@shop.example/lf.zip?token=secret#x", parts) == first
    again = written(
        tmp_path / "two" / "lf.zip", zipped({"a/trn.json": LINES, "tst.json": LINES[:-5]})
    )
    assert identify_source(str(again), find_parts(again))["sha256"] != first["sha256"]


# --- refusals --------------------------------------------------------------------------------


def encrypted() -> bytes:
    data = bytearray(zipped({"trn.json": LINES}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def rare() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("trn.json", LINES)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "trn.txt",
            LINES,
            "is not of a kind that can be read (.json, .jsonl, .json.gz, .jsonl.gz, .zip, .csv, "
            ".csv.gz, .tsv, .parquet): unpack or convert it first",
        ),
        (
            "notes.zip",
            zipped({"notes.txt": b"x", "inner.zip": b"x"}),
            "notes.zip has no catalogue file in it: one ends in .json, ",
        ),
        ("empty.zip", zipped({}), "empty.zip has no catalogue file in it"),
        (
            "locked.zip",
            encrypted(),
            "locked.zip is encrypted: unpack it with its password and give the folder",
        ),
        (
            "rare.zip",
            rare(),
            "rare.zip is packed by a rare method (12): unpack it, give the folder",
        ),
        ("cut.zip", FORMS["trn.zip"][:-40], "cut.zip is no zip file or is damaged ("),
        (
            "text.zip",
            LINES,
            "text.zip is no zip file or is damaged (File is not a zip file): copy or download it "
            "again",
        ),
        ("empty-file.zip", b"", "empty-file.zip is no zip file or is damaged ("),
        (
            "out.zip",
            zipped({"trn.json": LINES, "../../x": b"x"}),
            "out.zip has a member '../../x' that points outside of it: do",
        ),
        (
            "out.zip",
            zipped({"/etc/trn.json": LINES}),
            "out.zip has a member '/etc/trn.json' that points outside of it",
        ),
        ("out.zip", zipped({"..\\trn.json": LINES}), "that points outside of it"),
        ("out.zip", zipped({"C:\\trn.json": LINES}), "that points outside of it"),
        ("wide.json", "{}\n".encode("utf-16"), "wide.json is UTF-16: save it as UTF-8"),
        (
            "wide.csv",
            b"\xfe\xff" + "a,b\n".encode("utf-16-be"),
            "wide.csv is UTF-16: save it as UTF-8",
        ),
        ("gz.json", gzip.compress(LINES), "gz.json is a gzip file: add .gz to its name"),
        ("zip.json", zipped({"a": b"b"}), "zip.json is a zip file: let its name end in .zip"),
        (
            "cut.json.gz",
            gzip.compress(LINES)[:-9],
            "cut.json.gz is truncated or damaged after 7 lines (it ends in the middle): "
            "copy or download it again",
        ),
        ("text.json.gz", LINES, "text.json.gz is truncated or damaged after 0 lines ("),
        (
            "more.json.gz",
            gzip.compress(LINES) + b"more",
            "more.json.gz is truncated or damaged after 7 lines (",
        ),
        (
            "cut.csv.gz",
            gzip.compress(separated())[:-9],
            "cut.csv.gz is truncated or damaged after 15 lines (it ends in",
        ),
        (
            "cut.parquet",
            parquet()[:-20],
            "cut.parquet is no Parquet file or is damaged after 0 rows: copy or download it again",
        ),
        ("text.parquet", LINES, "text.parquet is no Parquet file or is damaged after 0 rows"),
        ("empty.parquet", b"", "empty.parquet is no Parquet file or is damaged after 0 rows"),
        (
            "twice.csv",
            b"title,content,title\na,b,c\n",
            "twice.csv: its first line names 'title' twice; give each column",
        ),
        (
            "wide.csv",
            b"title,content" + b",x" * 20_000,
            "wide.csv: its first line names 20,002 columns, more than 10,000; give each column",
        ),
        ("unmarked.json", LINES.decode().encode("utf-16-le"), "unmarked.json is UTF-16: save it"),
        (
            "blank.csv",
            b"\na,b\n",
            "blank.csv: its first line names no columns; give each column a name of its own "
            "there, such as",
        ),
        ("torn.csv", b'title,"content\na,b\n', "torn.csv: its first line names no columns"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(tmp_path, name, data, message):
    assert message in refused(written(tmp_path / name, data))


def test_a_source_that_is_not_there(tmp_path):
    assert refused(tmp_path / "nowhere.json") == (
        f"there is no file or folder {str(tmp_path / 'nowhere.json')!r}: check its spelling, or "
        "give a URL or a Hub dataset's user/name"
    )
    assert "there is no file or folder" in refused(Path("x" * 5000))


def test_a_folder_without_a_catalogue(tmp_path):
    (tmp_path / "folder.json").mkdir()
    assert refused(tmp_path).startswith(
        f"the folder {str(tmp_path)!r} has no catalogue file: put one that ends in .json, "
    )


def test_a_pipe_is_no_catalogue(tmp_path):
    os.mkfifo(tmp_path / "trn.json")
    assert "is not of a kind that can be read" in refused(tmp_path / "trn.json")


def test_a_damaged_member_of_a_zip(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "PIECE", 5000)
    whole = bytearray(zipped({"trn.json": LINES * 1000}))
    for place in range(len(whole) // 2, len(whole) // 2 + 9):
        whole[place] ^= 255
    message = refused(written(tmp_path / "lf.zip", bytes(whole)))
    lines = re.match(
        r"trn\.json is truncated or damaged after ([\d,]+) lines \(.+\): copy or download it "
        r"again$",
        message,
    )[1]
    assert 1000 < int(lines.replace(",", "")) < 14_000


@pytest.mark.parametrize("name", ["bomb.json.gz", "bomb.zip", "twofold.zip", "bomb.csv.gz"])
def test_a_bomb_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(source, "BOMB_SIZE", 2**20)
    blob = gzip.compress((b"a," + b"b" * 1021 + b"\n") * 2**12)
    data = {
        "bomb.json.gz": blob,
        "bomb.csv.gz": blob,
        "bomb.zip": zipped({"a.json": b"\0" * 2**22}),
        "twofold.zip": zipped({"a.json.gz": gzip.compress(b"{}\n") + b"\0" * 2**22}),
    }[name]
    assert "and unpacks to more than " in refused(written(tmp_path / name, data))
    monkeypatch.setattr(source, "BOMB_SIZE", 2**30)  # much, but not too much
    assert texts(tmp_path / name)


def test_the_members_of_a_zip_share_its_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BOMB_SIZE", 2**20)
    member = b'{"title": "x"}\n' * 2**14
    path = written(tmp_path / "many.zip", zipped({f"{n}.json": member for n in range(40)}))
    assert refused(path).startswith("many.zip holds ")


def test_empty_lines_are_work_too(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BOMB_SIZE", 2**20)
    path = written(tmp_path / "empty.json.gz", gzip.compress(b"\n" * 2**18))
    assert "unpacks to more than" in refused(path)
    assert len(texts(written(tmp_path / "empty.json", b"\n" * 2**18))) == 2**18


def test_a_zip_with_too_many_members_is_refused_before_they_are_read(tmp_path, monkeypatch):
    members = zipped({f"{n}.txt": b"" for n in range(300)} | {"trn.json": LINES})
    path = written(tmp_path / "many.zip", members)
    assert len(texts(path)) == 7
    monkeypatch.setattr(source, "ZIP_DIRECTORY", 5000)
    assert "many.zip has a list of members of " in refused(path)


def test_the_members_of_a_zip_are_listed_once(tmp_path, monkeypatch):
    path = written(tmp_path / "many.zip", zipped({f"{n}.json": b"{}" for n in range(50)}))
    parts, opened = find_parts(path), []

    class Counted(zipfile.ZipFile):
        def __init__(self, *given):
            opened.append(given)
            super().__init__(*given)

    monkeypatch.setattr(source.zipfile, "ZipFile", Counted)
    assert len(list(read_blocks(parts))) == 50 and len(opened) == 1


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "FILES", 3)
    for number in range(4):
        written(tmp_path / "shop" / f"{number}.json", LINES)
    assert "shop has 4 catalogue files, more than 3: join them" in refused(tmp_path / "shop")


def test_a_link_in_a_folder_leads_nowhere_else(tmp_path):
    written(tmp_path / "secret.json", LINES)
    written(tmp_path / "shop" / "a.json", LINES)
    (tmp_path / "shop" / "b.json").symlink_to("a.json")
    assert len(texts(tmp_path / "shop")) == 14
    (tmp_path / "shop" / "c.json").symlink_to("../secret.json")
    assert "'c.json' in the folder" in refused(tmp_path / "shop")
    (tmp_path / "link.json").symlink_to("secret.json")  # one that is named is followed
    assert len(texts(tmp_path / "link.json")) == 7


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is Linux's")
def test_a_parquet_batch_that_needs_too_much_memory_is_refused(tmp_path):
    rows = [{"title": "A"}, {"title": "x" * 2**27}]
    path = written(tmp_path / "big.parquet", parquet(rows, compression="zstd"))
    script = (  # in a process of its own: in this one the memory of writing it is there again
        "import sys; from pathlib import Path; from train.prepare import source\n"
        "source.PARQUET_MEMORY = 2**25\n"
        "try: list(source.read_blocks(source.find_parts(Path(sys.argv[1]))))\n"
        "except source.SourceError as error: print(error)\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True
    )
    message, kilobytes = done.stdout.splitlines()
    assert "big.parquet needs more than 32 MiB for the 256 rows after row 0" in message
    assert int(kilobytes) < 500_000


def test_parquet_rows_repeated_from_a_dictionary_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BOMB_SIZE", 2**24)
    rows = [{"title": "x" * 2**16}] * 2000
    path = written(tmp_path / "same.parquet", parquet(rows, compression="zstd"))
    assert "same.parquet holds " in refused(path)


def test_of_parquet_only_the_columns_asked_for_are_read(tmp_path):
    path = written(tmp_path / "a.parquet", parquet([{"title": "A", "image": "x" * 100}]))
    (block,) = read_blocks(find_parts(path), columns=Columns())
    assert parse_line(block.lines[0]) == {"title": "A"}


def test_a_missing_column_is_named_with_those_there(tmp_path):
    options = {"title": "--title-column", "text": "--content-column"}
    for name, data in {
        "a.csv": b"Title,Text\nA,1\n",
        "a.json": b'{"Title": "A", "Text": "1"}\n',
        "a.parquet": parquet([{"Title": "A", "Text": "1"}]),
    }.items():
        parts = find_parts(written(tmp_path / name, data))
        with pytest.raises(SourceError) as caught:
            check_columns(parts, name, options)
        assert str(caught.value) == (
            f"{name!r} has no column 'title'; it has Title, Text: name yours with --title-column "
            "and --content-column"
        )
        check_columns(parts, name, {"Title": "--title-column"})
    check_columns(find_parts(written(tmp_path / "b.json", b"{torn\n")), "b", options)


# --- lines -----------------------------------------------------------------------------------


def test_a_line_that_is_too_long_is_skipped_as_it_is_read(tmp_path, monkeypatch):
    import tracemalloc

    line = b'{"title": "\xc3\xa9", "content": "' + b"x" * (40 * 2**20) + b'"}\n'
    data = LINES + line + LINES + line[:-1]
    path = written(tmp_path / "trn.json", data)
    monkeypatch.setattr(source, "LONGEST_LINE", 2**21)
    tracemalloc.start()
    found = numbered(path, size=2**18)
    assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    tracemalloc.stop()
    assert [number for number, _ in found] == list(range(1, 17))
    assert [parse_line(text) for _, text in found] == [*RECORDS, "oversized", *RECORDS, "oversized"]
    assert found[7][1] == OVERSIZED + line[:4096]
    assert found[7][1].decode().strip().startswith('{"title": "\u00e9"')  # the mark does not show


@pytest.mark.parametrize("length", [999, 1000, 1001, 5000])
@pytest.mark.parametrize("piece", [7, 1000, 2**20])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n{}\n"])
def test_the_longest_line_does_not_depend_on_the_pieces(tmp_path, monkeypatch, length, piece, end):
    monkeypatch.setattr(source, "LONGEST_LINE", 1000)
    monkeypatch.setattr(source, "HEAD", 10)
    monkeypatch.setattr(source, "PIECE", piece)
    found = texts(written(tmp_path / "a.json", b"{}\n" + b"y" * length + end))
    assert found == [
        b"{}",
        b"y" * length if length <= 1000 else OVERSIZED + b"y" * 10,
        *([b"{}"] if len(end) > 1 else []),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\xef\xbb\xbf", []),
        (b"\n", [b""]),
        (b"a", [b"a"]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\rb\n\r\n", [b"a\rb", b""]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", [b"a", b"\xef\xbb\xbfb"]),
        (b"\x00\n", [b"\x00"]),
    ],
)
def test_lines_and_their_ends(tmp_path, data, expected):
    assert (
        texts(written(tmp_path / "a.json", data))
        == texts(written(tmp_path / "b.json.gz", gzip.compress(data)))
        == expected
    )


@pytest.mark.parametrize("name", ["wide.json", "wide.json.gz", "gz.json"])
def test_a_signature_may_come_in_pieces(tmp_path, monkeypatch, name):
    monkeypatch.setattr(source, "PIECE", 1)
    wide = "{}".encode("utf-16")
    data = {
        "wide.json": wide,
        "wide.json.gz": gzip.compress(wide),
        "gz.json": gzip.compress(LINES),
    }[name]
    assert f"{name} is " in refused(written(tmp_path / name, data))
    assert texts(written(tmp_path / "bom.json", b"\xef\xbb\xbf{}")) == [b"{}"]


def test_an_empty_gzip_has_no_lines(tmp_path):
    assert texts(written(tmp_path / "a.json.gz", b"")) == []


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40), st.sampled_from([b"\n", b"\r\n", b'{"a": 1}', b"x" * 60])
        ),
        max_size=12,
    ),
    st.integers(1, 64),
    st.integers(1, 64),
)
@example([b"\r", b"\n", b"\r\n"], 1, 1)
def test_any_bytes_are_lines_or_refused(tmp_path_factory, chunks, size, piece):
    data, folder = b"".join(chunks), tmp_path_factory.getbasetemp()
    paths = [
        written(folder / "any.json", data),
        written(folder / "any.json.gz", gzip.compress(data)),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "PIECE", piece)
        patch.setattr(source, "LONGEST_LINE", 50)
        for path in paths:
            try:
                found = numbered(path, size)
            except SourceError:
                is_wide = b"\0" in data[:4]
                assert is_wide or data[:2] in (b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"PK")
                continue
            text = data.removeprefix(b"\xef\xbb\xbf")
            assert [number for number, _ in found] == list(
                range(1, text.count(b"\n") + (text[-1:] not in (b"", b"\n")) + 1)
            )
            *ended, last = text.split(b"\n")
            plain = [*(line.removesuffix(b"\r") for line in ended), last]
            for (_, line), was in zip(found, plain, strict=False):
                assert line == was or (len(was) > 49 and line.startswith(OVERSIZED))
            assert all(isinstance(parse_line(line), (dict, str)) for _, line in found)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [
            "trn.zip",
            "tables.zip",
            "columns.zip",
            "trn.parquet",
            "trn.json.gz",
            "stored.zip",
            "trn.csv.gz",
        ]
    ),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=3),
    st.integers(0, 100),
)
@example(name="trn.parquet", changes=[(436, 128)], cut=0)  # a column's name that is no UTF-8
def test_any_damage_is_read_or_refused(tmp_path_factory, name, changes, cut):
    data = bytearray(FORMS[name])
    for place, value in changes:
        data[place % len(data)] = value
    path = written(tmp_path_factory.getbasetemp() / "damaged" / name, bytes(data[: -cut or None]))
    try:
        assert all(isinstance(parse_line(line), (dict, str)) for line in texts(path))
    except SourceError as error:
        assert "\n" not in str(error)


def test_split_is_as_fast_as_the_splitting_of_bytes():
    text = (b"x" * 300 + b"\n") * 100_000
    started = time.process_time()
    assert len(split_lines(text)) == 100_000
    assert time.process_time() - started < 0.5  # a loop over the bytes takes far longer


# --- tables ----------------------------------------------------------------------------------


def table(tmp_path: Path, data: bytes, name: str = "trn.csv") -> list[tuple[int, dict | str]]:
    return [(number, parse_line(line)) for number, line in numbered(written(tmp_path / name, data))]


def test_rows_are_numbered_by_the_line_they_begin_on(tmp_path):
    data = b'title,content\nA,1\n"B\nb",2\n\nC,"3\n\n3"\nD,4\n'
    expected = [
        (2, {"title": "A", "content": "1"}),
        (3, {"title": "B\nb", "content": "2"}),
        (5, "blank"),
        (6, {"title": "C", "content": "3\n\n3"}),
        (9, {"title": "D", "content": "4"}),
    ]
    assert (
        table(tmp_path, data)
        == table(tmp_path, data.replace(b"\n", b"\r\n"))
        == table(tmp_path, data[:-1])
        == expected
    )


def test_a_row_with_another_number_of_fields_is_broken(tmp_path):
    data = b'title,content\nA\nB,2,3\n{"title": 1}\nC,"2\n3",4\nD,4\n'
    assert table(tmp_path, data) == [
        (2, "broken"),
        (3, "broken"),
        (4, "broken"),
        (5, "broken"),
        (7, {"title": "D", "content": "4"}),
    ]
    marked = texts(tmp_path / "trn.csv")[1]
    assert marked == BROKEN + b"B,2,3" and marked.decode().strip() == "B,2,3"


@pytest.mark.parametrize("rows", [5, 3000])
@pytest.mark.parametrize("field", [b"%d", b'"%d"', b'"%d ""x"""'])
def test_a_torn_quote_costs_one_row(tmp_path, rows, field):
    line = b"title %d," + field + b"\n"
    data = (
        b"title,content\n" + b"A,1\n" + b'B,"torn\n' + b"".join(line % (n, n) for n in range(rows))
    )
    found = table(tmp_path, data)
    assert [number for number, item in found if isinstance(item, str)] == [3]
    assert [number for number, _ in found] == list(range(2, rows + 4))
    assert found[-1][1]["title"] == f"title {rows - 1}"


def test_a_quote_torn_before_a_long_text_costs_one_row(tmp_path):
    data = b'title,content\nB,"torn\n' + (b"C," + b"x" * 3000 + b"\n") * 500
    found = table(tmp_path, data)
    assert [item for _, item in found].count("broken") == 1 and len(found) == 501


def test_a_row_may_span_many_lines_again_after_a_torn_quote(tmp_path):
    torn = b'B,"torn\n' + b"C,1\n" * 1700
    long = b'D,"' + b"text\n" * 900 + b'"\n'
    found = table(tmp_path, b"title,content\n" + torn + long + b"E,1\n")
    assert [item for _, item in found].count("broken") == 1
    assert found[-2][1] == {"title": "D", "content": "text\n" * 900}


def test_a_row_of_too_many_bytes_is_broken(tmp_path):
    found = table(tmp_path, b'title,content\nB,"' + (b"x" * 500_000 + b"\n") * 3 + b'"\nC,1\n')
    assert (
        found[0] == (2, "broken")
        and found[-1] == (6, {"title": "C", "content": "1"})
        and len(found) == 5
    )
    small = table(
        tmp_path, b"title,content\n" + (b'B,"' + b"x" * 1000 + b'\n"\n') * 3000
    )  # together they may have more
    assert len(small) == 3000 and not [item for _, item in small if isinstance(item, str)]


def test_a_long_quoted_text_is_whole(tmp_path):
    text = "line\n" * 900 + "x" * 300_000
    assert (
        table(tmp_path, separated(records=[RECORDS[0] | {"content": text}]))[0][1]["content"]
        == text
    )


def test_a_file_of_torn_quotes_is_read_in_a_blink(tmp_path):
    data = b"title,content\n" + b'a","""x\n' * 20_000
    started = time.process_time()
    found = table(tmp_path, data)
    assert (
        time.process_time() - started < 5
    )  # where each line is read a thousand times it is far longer
    assert len(found) == 20_000 and {item for _, item in found} == {"broken"}


def test_a_table_of_windows_is_decoded_and_marked(tmp_path):
    data = "title;content\r\nPão;Um \u201cpão\u201d de açúcar\r\nLamp;Of brass\r\n".encode("cp1252")
    found = table(tmp_path, data)
    assert [item for _, item in found] == [
        {"title": "Pão", "content": "Um \u201cpão\u201d de açúcar"},
        {"title": "Lamp", "content": "Of brass"},
    ]
    recoded: list[tuple[str, str]] = []
    for line in texts(tmp_path / "trn.csv"):
        parse_line(line, recoded)
    assert len(recoded) == 1


def test_a_row_that_is_no_text_is_broken_alone(tmp_path):
    found = table(tmp_path, b"title,content\nA,\xcf\xf0\xe8\xe2\xe5\xf2\nB,2\n")
    assert [item for _, item in found] == ["broken", {"title": "B", "content": "2"}]


@pytest.mark.parametrize("name", ["trn.tsv", "trn.csv"])
def test_quotes_that_are_no_quoting_are_text(tmp_path, name):
    sign = "\t" if name.endswith("tsv") else ","
    rows = [
        ["1", 'TV 24"', 'A 24" screen of glass'],
        ["2", '"Best" Kettle', "Of steel"],
        ["3", "Plain", '"Quoted" beginning of a text'],
        ["4", '"Old" and "New"', "Of tin"],
    ]
    data = "\n".join(map(sign.join, [["uid", "title", "content"], *rows]))
    assert [list(item.values()) for _, item in table(tmp_path, data.encode(), name)] == rows


def test_a_tsv_keeps_a_title_in_quotes(tmp_path):
    rows = 'uid\ttitle\n1\t"Heroes"\n2\t"24 inch\n3\t"two\tlines"\n4\t"a ""b"""\n5\t"c\nd"\n'
    found = [item["title"] for _, item in table(tmp_path, rows.encode(), "trn.tsv")]
    assert found == ['"Heroes"', '"24 inch', "two\tlines", 'a "b"', "c\nd"]
    quoted = b'"uid"\t"title"\n"1"\t"Heroes"\n'
    assert table(tmp_path, quoted, "trn.tsv")[0][1] == {"uid": "1", "title": "Heroes"}


def test_a_column_without_a_name_is_left_alone(tmp_path):
    found = table(tmp_path, b",title,content,\n0,A,1,\n1,B,2,\n")
    assert [(item["title"], item["content"]) for _, item in found] == [("A", "1"), ("B", "2")]


def test_a_name_used_twice_is_no_harm_where_nobody_asks_for_it(tmp_path):
    path = written(tmp_path / "trn.csv", b"title,content,tag,tag\nA,1,x,y\n")
    (block,) = read_blocks(find_parts(path), columns=Columns())
    assert parse_line(block.lines[0]) == {"title": "A", "content": "1", "tag": "y"}


def test_odd_bytes_in_a_table(tmp_path):
    found = table(tmp_path, b"title,content\nA\xff,caf\xc3\xa9\nB\x00,\x00\n")
    assert [item for _, item in found] == [
        {"title": "A\u00ff", "content": "caf\u00e9"},
        {"title": "B\0", "content": "\0"},
    ]


def test_a_field_that_is_too_long_is_oversized(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "LONGEST_LINE", 1000)
    found = table(
        tmp_path, b"title,content\nA,1\nB," + b"x" * 2000 + b'\nC,"3\n' + b"y" * 2000 + b'"\nD,4\n'
    )
    assert [
        (number, item if isinstance(item, str) else item["title"]) for number, item in found
    ] == [(2, "A"), (3, "oversized"), (4, "broken"), (5, "oversized"), (6, "D")]
    found = table(
        tmp_path, b'title,content\nC,"3\n' + b"y" * 2000 + b'\nD"\nE,5\n'
    )  # no quote goes round a line that is lost
    assert [item for _, item in found] == [
        "broken",
        "oversized",
        "broken",
        {"title": "E", "content": "5"},
    ]
    found = table(tmp_path, b'title,content\nC,"' + (b"y" * 500 + b"\n") * 3 + b'"\nE,5\n')
    assert [item for _, item in found] == ["oversized", {"title": "E", "content": "5"}]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ['"', ",", "\n", "\r\n", "a", "b c", '""', "\r", "\0", "\u00e9", ";", '","', '"\n"']
        ),
        max_size=60,
    )
)
def test_any_table_is_rows_or_refused(tmp_path_factory, pieces):
    body = "".join(pieces).encode()
    path = written(tmp_path_factory.getbasetemp() / "any.csv", b"title,content\n" + body)
    found = numbered(path, size=20)
    starts = [number for number, _ in found]
    total = body.count(b"\n") + (body[-1:] not in (b"", b"\n"))
    assert (
        starts == sorted(set(starts))
        and starts[:1] == [2][:total]
        and all(number <= total + 1 for number in starts)
    )
    lines = body.split(b"\n")
    for (number, line), following in zip(found, [*starts, total + 2][1:], strict=False):
        item = parse_line(line)
        assert isinstance(item, dict) or item in ("blank", "broken")
        if not isinstance(item, dict):
            assert following == number + 1 or line.startswith(BROKEN)
        # What a row spans is in it: nothing between two rows is lost.
        content = (
            "".join(item.values()) if isinstance(item, dict) else line.removeprefix(BROKEN).decode()
        )
        assert content.count("\n") == following - number - 1
        if not isinstance(item, dict) and item == "broken":
            assert line.removeprefix(BROKEN).split(b"\n")[0] == lines[number - 2].removesuffix(
                b"\r"
            ) or line.endswith(b"\r")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            *[
                st.text(
                    st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20
                )
            ]
            * 3
        ),
        max_size=10,
    )
)
def test_any_text_comes_back_from_a_table(tmp_path_factory, rows):
    records = [dict(zip(("uid", "title", "content"), row, strict=True)) for row in rows]
    path = written(tmp_path_factory.getbasetemp() / "round.csv", separated(records=records))
    assert [parse_line(line) for line in texts(path)] == records


def test_parquet_of_every_type(tmp_path):
    import datetime
    import decimal

    row = {
        "uid": 2**63 - 1,
        "title": "K\u00e9ttle",
        "content": ["two", "parts"],
        "price": decimal.Decimal("9.50"),
        "score": float("nan"),
        "seen": datetime.date(2024, 1, 2),
        "raw": b"\xff",
        "none": None,
        "inner": {"a": 1},
    }
    found = table(tmp_path, parquet([row] * 600, row_group_size=100), "trn.parquet")
    assert [number for number, _ in found] == list(range(1, 601))
    assert found[599][1] == {
        "uid": 2**63 - 1,
        "title": "K\u00e9ttle",
        "content": ["two", "parts"],
        "price": "9.50",
        "score": None,
        "seen": "2024-01-02",
        "raw": "b'\\xff'",
        "none": None,
        "inner": {"a": 1},
    }


def test_a_parquet_row_that_is_no_text_is_broken_alone(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts_ = pa.array([b"good", b"\xff\xfe", b"fine"]).view(pa.string())
    pq.write_table(pa.table({"title": texts_}), tmp_path / "a.parquet")
    assert [parse_line(line) for line in texts(tmp_path / "a.parquet")] == [
        {"title": "good"},
        "broken",
        {"title": "fine"},
    ]


def test_a_parquet_row_that_is_too_long_is_oversized(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "LONGEST_LINE", 1000)
    assert [
        parse_line(line)
        for line in texts(written(tmp_path / "a.parquet", parquet([{"a": "x" * 2000}, {"a": "y"}])))
    ] == ["oversized", {"a": "y"}]


# --- parse -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", "blank"),
        (b" \t\r\x0b\x0c", "blank"),
        (b"{", "broken"),
        (b"[]", "broken"),
        (b"1", "broken"),
        (b"null", "broken"),
        (b'"x"', "broken"),
        (b'{"a": "caf\xe9 \x96 5 \x80"}', {"a": "caf\u00e9 \u2013 5 \u20ac"}),
        (b'{"a": "\xcf\xf0\xe8\xe2\xe5\xf2"}', "broken"),  # Russian, of Windows-1251
        (b'{"a": "caf\x8e"}', "broken"),  # of Mac Roman
        (b'{"a": "\x81"}', "broken"),
        (
            '{"a": "\u00e7\u00e3o", "b": "cora'.encode() + b'\xe7\xe3o"}',
            {"a": "ção", "b": "coração"},
        ),
        ('{"a": "maç'.encode() + b'\xc3"}', {"a": "maç"}),  # cut inside of a letter
        (b"\x1a", "broken"),
        (OVERSIZED + b'{"a": 1}', "oversized"),
        (BROKEN + b'{"a": 1}', "broken"),
        (BROKEN, "broken"),
        (b'{"a": 1} {"b": 2}', "broken"),
        (b"{'a': 1}", "broken"),
        (b'{"a":' * 100_000, "broken"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "broken"),
        (b'{"a": ' + b"[" * 9999 + b"]" * 9999 + b"}", "broken"),
        (b'{"a": ' + b"1" * 5000 + b"}", "broken"),
        (b'{"a": ' + b"1" * 400 + b"}", {"a": int("1" * 400)}),
        (b'{"uid": 123456789012345678901234567890}', {"uid": 123456789012345678901234567890}),
        (b'{"uid": -9223372036854775809}', {"uid": -9223372036854775809}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'{"a": Infinity}', {"a": float("inf")}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b" {} ", {}),
        (b'{"a": 1e400}', {"a": float("inf")}),
        (b'{"a": "\x01"}', "broken"),
        (b'{"a": "\\u0000"}', {"a": "\0"}),
    ],
)
def test_parse(line, expected):
    assert parse_line(line) == expected


TEXT = st.text(st.characters())  # halves of surrogate pairs too
VALUES = (
    st.recursive(  # a longer integer inside a list comes as a float: no field that is used has one
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False)
        | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    )
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXT, st.integers(-(2**80), 2**80) | VALUES, max_size=4), st.booleans())
def test_parse_is_what_the_standard_library_says(item, ascii_only):
    line = json.dumps(item, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        text = line.decode()
    except UnicodeDecodeError:  # half a surrogate pair: the bytes are read as older text
        text = decode_text(line) or ""
    try:
        expected = json.loads(text)
    except ValueError:
        expected = "broken"
    found = parse_line(line)
    assert found == expected
    if isinstance(found, dict):
        assert [type(value) for value in found.values()] == [
            type(value) for value in expected.values()
        ]


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60)
    | st.lists(
        st.sampled_from(
            ["{", "}", '"a"', ":", ",", "[", "]", "1e9", "NaN", " ", "\\u", "-", "0", "."]
        )
    ).map(lambda bits: "".join(bits).encode())
)
def test_parse_never_raises(line):
    try:
        expected = json.loads(line.decode())
    except ValueError:
        expected = None
    reason = "oversized" if line.startswith(OVERSIZED) else "broken" if line.strip() else "blank"
    assert parse_line(line) == (expected if isinstance(expected, dict) else reason)


def test_a_random_zip_is_no_crash(tmp_path):
    chance = random.Random(3)
    whole = FORMS["trn.zip"]
    directory = whole.index(b"PK\x01\x02")
    for _ in range(100):
        data = bytearray(whole)
        struct.pack_into(
            "<I", data, chance.randrange(directory, len(data) - 4), chance.getrandbits(32)
        )
        try:
            texts(written(tmp_path / "any.zip", bytes(data)))
        except SourceError as error:
            assert "\n" not in str(error)


def test_the_field_limit_is_above_the_longest_line():
    assert csv.field_size_limit() >= source.LONGEST_LINE and source.ROW_BYTES < source.LONGEST_LINE
