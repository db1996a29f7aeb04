"""Downloads over real HTTP on loopback: resumed, changed, refused, and no token in a message."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import json
import socket
import threading
import traceback
from pathlib import Path

import pytest

from train import retry
from train.prepare import fetch as fetching
from train.prepare.catalogue import prepare_catalogue
from train.prepare.fetch import fetch
from train.prepare.source import SourceError, find_parts, read_blocks
from train.run import Run

DATA = b"".join(
    b'{"uid": "u%d", "title": "Kettle %d", "content": "Made of copper."}\n' % (n, n)
    for n in range(20_000)
)
SECRET = "sesame-open-up"


class Server(http.server.ThreadingHTTPServer):
    """Serves `data` under every name; what it does wrong is set by its fields."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.data, self.etag, self.modified, self.headers = DATA, '"one"', None, {}
        self.cuts, self.statuses = (
            [],
            [],
        )  # for each request to come: bytes after which the line is cut, its status
        self.ranges = self.length = self.polite = True
        self.asked, self.paths = [], []  # the Range header and the path of each request

    def url(self, name: str = "trn.json") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no news."""


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        server.paths.append(self.path)
        server.last = dict(self.headers)
        status, start = (server.statuses.pop(0) if server.statuses else 200), 0
        fits = not server.polite or self.headers.get("If-Range") in (
            None,
            server.etag,
            server.modified,
        )
        if status == 200 and wanted and server.ranges and fits:
            status, start = 206, int(wanted.removeprefix("bytes=").rstrip("-"))
        body = server.data[start:] if status in (200, 206) else b"no"
        self.send_response(status)
        for name, value in {
            "ETag": server.etag,
            "Last-Modified": server.modified,
            **server.headers,
        }.items():
            if value:
                self.send_header(name, value)
        if status == 206:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}"
            )
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else None
        self.wfile.write(body if cut is None else body[:cut])
        self.wfile.flush()
        self.close_connection = True
        if cut is not None:
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *words) -> None:
        """Nothing to stderr."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 0)
    monkeypatch.setattr(fetching, "PIECE", 10_000)
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def refused(source: str, cache: Path) -> str:
    """Returns the one line that a person reads, without a secret in it."""
    with pytest.raises(SourceError) as caught:
        fetch(source, cache, progress=False)
    message = str(caught.value)
    assert "\n" not in message and SECRET not in "".join(traceback.format_exception(caught.value))
    return message


def cut_off(server: Server, cache: Path, after: int = 400_000) -> None:
    """Leaves a download half-way: the first request is cut, and no other gets anything."""
    server.cuts, server.statuses = [after], [200] + [503] * fetching.TRIES
    refused(server.url(), cache)
    server.cuts, server.statuses, server.asked = [], [], []


# --- what is here ----------------------------------------------------------------------------


def test_what_is_here_is_returned_as_it_is(tmp_path):
    (tmp_path / "trn.json").write_bytes(b"{}")
    for path in (tmp_path / "trn.json", tmp_path):
        assert fetch(str(path), tmp_path / "cache") == path
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "source",
    [
        "nowhere.json",
        "runs/nowhere.json",
        "a/b/c",
        "ftp://shop.example/trn.json",
        "http://",
        "",
        "x" * 5000,
        "user/name:a:b:c",
        "http://[bad/trn.json",
    ],
)
def test_a_source_that_is_nothing(tmp_path, source):
    assert refused(source, tmp_path) == (
        f"there is no file or folder {source!r}, and it is no http(s) URL, gdrive:ID or Hub "
        "dataset's user/name: check its spelling"
    )


def test_a_secret_in_an_odd_address_is_not_repeated(tmp_path):
    assert "ftp://shop.example/trn.json" in refused(
        f"ftp://me:{SECRET}@shop.example/trn.json?key={SECRET}#{SECRET}", tmp_path
    )


# --- a URL -----------------------------------------------------------------------------------


def test_a_file_is_downloaded_once(tmp_path, server, capsys):
    path = fetch(server.url("lf/trn.json?token=x"), tmp_path)
    assert path.name == "trn.json" and path.read_bytes() == DATA and tmp_path in path.parents
    shown = capsys.readouterr()
    assert "trn.json: 100%" in shown.err and shown.out == ""
    server.data = b"changed"
    assert (
        fetch(server.url("lf/trn.json?token=x"), tmp_path, progress=False) == path
        and path.read_bytes() == DATA
    )
    assert len(server.asked) == 1 and capsys.readouterr().err == ""
    assert sorted(file.name for file in path.parent.iterdir()) == ["download.state", "trn.json"]


def test_two_addresses_with_one_name_are_two_files(tmp_path, server):
    first = fetch(server.url("a/trn.json"), tmp_path, progress=False)
    server.data = DATA[:700]
    assert fetch(server.url("b/trn.json"), tmp_path, progress=False).read_bytes() == DATA[:700]
    assert first.read_bytes() == DATA


def test_what_came_compressed_is_kept_as_it_came(tmp_path, server):
    server.data, server.headers = gzip.compress(DATA), {"Content-Encoding": "gzip"}
    path = fetch(server.url("trn.json.gz"), tmp_path, progress=False)
    assert (
        path.read_bytes() == server.data
        and sum(len(block.lines) for block in read_blocks(find_parts(path))) == 20_000
    )
    assert server.last["Accept-Encoding"] == "identity"


def test_a_dropped_connection_is_gone_on_with_in_one_call(tmp_path, server):
    server.cuts = [400_000, 100_000, 0]
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA
    assert server.asked == [None, "bytes=400000-", "bytes=500000-", "bytes=500000-"]
    assert server.last["If-Range"] == '"one"'


def test_a_cut_download_is_gone_on_with_by_the_next_call(tmp_path, server):
    cut_off(server, tmp_path)
    assert [file.name for file in sorted(tmp_path.glob("*/*"))] == [
        "download.state",
        "trn.json.part",
    ]
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA
    assert server.asked == ["bytes=400000-"]


def test_a_connection_that_always_drops_is_given_up_in_words(tmp_path, server):
    server.cuts = [300_000] + [0] * 50
    assert refused(server.url(f"trn.json?key={SECRET}"), tmp_path) == (
        f"{server.url()} cannot be downloaded (the connection broke, ProtocolError): check "
        "the address and your connection; the same command goes on after the 300,000 bytes that "
        "are here"
    )
    assert len(server.asked) == fetching.TRIES


def test_tries_are_counted_anew_where_something_came(tmp_path, server, monkeypatch):
    monkeypatch.setattr(fetching, "PROGRESS", 100_000)
    server.cuts = [100_000] * 9
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA
    assert len(server.asked) == 10


@pytest.mark.parametrize(
    "fields",
    [
        {"etag": '"two"'},
        {"etag": None, "modified": "Tue, 02 Jan 2024 00:00:00 GMT"},
        {"etag": None},
    ],
)
@pytest.mark.parametrize("polite", [True, False])
def test_a_file_that_changed_starts_anew(tmp_path, server, fields, polite):
    cut_off(server, tmp_path)
    server.data = DATA[::-1]
    for name, value in fields.items():
        setattr(server, name, value)
    if not polite:  # the server sends a part of the new file though it was asked for the old one's
        server.polite = False
        if fields == {"etag": None}:
            server.data = DATA[:500_000]  # with no validator only the length tells
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == server.data


def test_a_weak_validator_is_compared_here(tmp_path, server):
    server.etag = 'W/"one"'
    cut_off(server, tmp_path)
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA
    assert server.asked == ["bytes=400000-"] and "If-Range" not in server.last


def test_without_a_validator_a_download_starts_anew(tmp_path, server):
    server.etag = None
    cut_off(server, tmp_path)
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA
    assert server.asked == [None]


def test_a_server_that_ignores_the_range_starts_anew(tmp_path, server):
    server.ranges = False
    server.cuts = [400_000]
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA
    assert server.asked == [None, "bytes=400000-"]


def test_a_file_that_shrank_starts_anew(tmp_path, server):
    cut_off(server, tmp_path)
    server.statuses, server.data = [416], DATA[:1000]
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA[:1000]


def test_a_server_without_a_length(tmp_path, server):
    server.length = False
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA


def test_a_server_that_recovers(tmp_path, server):
    server.statuses = [503, 429, 500]
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "answers HTTP 404 Not Found: check the address"),
        (401, "answers HTTP 401 Unauthorized: it asks for a login: download it by"),
        (
            403,
            "answers HTTP 403 Forbidden: it is not open to everyone: download it by hand and give "
            "the file",
        ),
        (418, "answers HTTP 418 I'm a Teapot: open it in a browser and see what it says"),
        (206, "answers HTTP 206 Partial Content"),
    ],
)
def test_a_status_that_is_no_file(tmp_path, server, status, words):
    server.statuses = [status]
    message = refused(
        server.url(f"trn.json?key={SECRET}").replace("http://", f"http://me:{SECRET}@"), tmp_path
    )
    assert message.startswith(f"{server.url()} {words}")
    assert len(server.asked) == 1 and not list(tmp_path.glob("*/trn.json"))


def test_a_server_that_stays_down(tmp_path, server):
    server.statuses = [503] * 50
    assert "cannot be downloaded (HTTP 503 Service Unavailable): check the address" in refused(
        server.url(), tmp_path
    )


def test_an_address_that_nobody_can_ask_is_asked_once(tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(retry.time, "sleep", pauses.append)
    assert "cannot be downloaded (the connection broke, InvalidURL)" in refused(
        "http://.shop.example/trn.json", tmp_path
    )
    assert pauses == []


def test_no_server_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/trn.json"
        assert f"{url} cannot be downloaded (the connection broke, ConnectionError)" in refused(
            f"{url}?key={SECRET}", tmp_path
        )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (DATA, "text/html; charset=utf-8"),
        (b"\n <!DOCTYPE html><p>Log in", None),
        (b"<HTML>", "application/json"),
    ],
)
def test_a_web_page_is_no_catalogue(tmp_path, server, data, kind):
    server.data, server.headers = data, {"Content-Type": kind}
    assert refused(server.url(), tmp_path) == (
        f"{server.url()} is a web page, not a data file: open it in a browser, it may ask for a "
        "login, and give the address of the file itself"
    )
    assert not list(tmp_path.glob("*/trn*"))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ('attachment; filename="lf.zip"', "lf.zip"),
        ("attachment; filename=../../lf.zip; x", "lf.zip"),
        ('attachment; filename="..\\lf.zip"', "lf.zip"),
    ],
)
def test_the_name_may_come_from_the_server(tmp_path, server, given, name):
    server.headers = {"Content-Disposition": given}
    path = fetch(server.url("download?id=7"), tmp_path, progress=False)
    assert path.name == name and path.parent.parent == tmp_path


def test_a_kind_that_cannot_be_read_is_not_downloaded(tmp_path, server):
    message = refused(server.url("trn.exe?x=trn.json"), tmp_path)
    assert message.startswith(
        f"{server.url('trn.exe')} is 'trn.exe', not of a kind that can be read (.json, .jsonl, "
    )
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.parametrize(
    ("header", "digest"), [("Content-MD5", hashlib.md5), ("x-amz-checksum-sha256", hashlib.sha256)]
)
def test_what_arrived_is_what_was_sent(tmp_path, server, header, digest):
    server.headers = {header: base64.b64encode(digest(DATA).digest()).decode()}
    assert fetch(server.url(), tmp_path, progress=False).read_bytes() == DATA
    server.data = DATA[:-1] + b" "
    assert "is not the one that the server gives" in refused(server.url("other.json"), tmp_path)
    assert not list(tmp_path.glob("*/other.json*"))


def test_a_cache_that_cannot_be_written(tmp_path, server):
    (tmp_path / "cache").write_text("a file")
    assert "Not a directory; a download needs a folder that can be written" in refused(
        server.url(), tmp_path / "cache"
    )


# --- Google Drive ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "gdrive:12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK",
        "https://drive.google.com/file/d/12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK/view?usp=sharing",
        "https://drive.google.com/uc?export=download&id=12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK",
    ],
)
def test_a_file_on_drive_is_downloaded_once(tmp_path, server, monkeypatch, source):
    import gdown

    options, download = {}, gdown.download
    monkeypatch.setattr(
        gdown, "download", lambda **given: (options.update(given), download(**given))[1]
    )
    monkeypatch.setattr(fetching, "DRIVE", server.url("{}/lf.zip"))
    path = fetch(source, tmp_path, progress=False)
    assert path.read_bytes() == DATA and path.name == "lf.zip"
    assert fetch(source, tmp_path, progress=False) == path
    assert options["use_cookies"] is False  # they would be left in the user's home
    assert server.paths == ["/12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK/lf.zip"]


def test_drive_is_asked_at_its_own_address():
    assert fetching.DRIVE.format("ID") == "https://drive.google.com/uc?id=ID"


def test_a_cut_download_from_drive_is_gone_on_with(tmp_path, server, monkeypatch):
    monkeypatch.setattr(fetching, "DRIVE", server.url("{}/trn.json"))
    monkeypatch.setattr(fetching, "TRIES", 0)
    server.cuts = [1_200_000]
    message = refused("gdrive:12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK", tmp_path)
    assert message.startswith(
        "gdrive:12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK cannot be downloaded from Google Drive ("
    )
    assert (
        "open https://drive.google.com/file/d/12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK in a browser"
        in message
    )
    assert (
        fetch("gdrive:12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK", tmp_path, progress=False).read_bytes()
        == DATA
    )
    assert (
        server.asked[0] is None and server.asked[-1] == "bytes=1048576-"
    )  # gdown keeps whole pieces of 512 KiB


def test_what_drive_has_may_be_no_catalogue(tmp_path, server, monkeypatch):
    monkeypatch.setattr(fetching, "DRIVE", server.url("{}/lf.rar"))
    assert "is 'lf.rar', not of a kind that can be read" in refused("gdrive:0123456789", tmp_path)
    server.data = b"<!doctype html>Quota exceeded"
    assert refused("gdrive:0123456789", tmp_path).startswith(
        "gdrive:0123456789 is a web page, not a data file"
    )


@pytest.mark.parametrize(
    "source",
    [
        "gdrive:",
        "gdrive:a b",
        "https://drive.google.com/drive/folders/12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK",
    ],
)
def test_an_address_that_names_no_file_on_drive(tmp_path, source):
    assert refused(source, tmp_path) == (
        f"{source} names no file on Google Drive: give gdrive:ID, with the ID that stands after "
        "/d/ or id= in the file's own address"
    )


# --- a Hub dataset ---------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A dataset as it lies on the Hub; returns the arguments of each load."""
    import datasets

    folder, asked, load = tmp_path / "hub", [], datasets.load_dataset
    folder.mkdir()
    for split, count in (("train", 25), ("test", 3)):
        (folder / f"{split}.jsonl").write_bytes(b"".join(DATA.splitlines(keepends=True)[:count]))

    def local(name, config, **options):
        asked.append((name, config, options["split"]))
        return load(str(folder), config, **options)

    monkeypatch.setattr(datasets, "load_dataset", local)
    return asked


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for block in read_blocks(find_parts(path)) for line in block.lines]


def test_a_hub_dataset_is_its_training_split_in_parts(tmp_path, hub, monkeypatch):
    monkeypatch.setattr(fetching, "ROWS", 10)
    path = fetch("shop/music", tmp_path / "cache", progress=False)
    assert sorted(file.name for file in path.iterdir()) == [
        "rows-00000.jsonl",
        "rows-00001.jsonl",
        "rows-00002.jsonl",
    ]
    assert rows(path) == [json.loads(line) for line in DATA.splitlines()[:25]]
    assert fetch("shop/music", tmp_path / "cache", progress=False) == path
    assert hub == [("shop/music", None, None)]


def test_a_hub_dataset_by_split_and_config(tmp_path, hub):
    assert len(rows(fetch("shop/music:test", tmp_path / "cache", progress=False))) == 3
    assert len(rows(fetch("shop/music:default:test", tmp_path / "cache", progress=False))) == 3
    assert hub == [("shop/music", None, "test"), ("shop/music", "default", "test")]


def test_a_lone_name_is_a_split_or_else_a_config(tmp_path, hub):
    """As xlsum:portuguese is: languages are its configs, and its split is train."""
    folder = tmp_path / "hub"
    for tongue in ("portuguese", "english"):
        (folder / tongue).mkdir()
        (folder / tongue / "train.jsonl").write_text(json.dumps({"text": tongue}) + "\n")
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").unlink()
    configs = "".join(
        f"- config_name: {name}\n  data_files: {name}/*.jsonl\n"
        for name in ("english", "portuguese")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    assert rows(fetch("news/xlsum:portuguese", tmp_path / "cache", progress=False)) == [
        {"text": "portuguese"}
    ]
    assert hub == [("news/xlsum", None, "portuguese"), ("news/xlsum", "portuguese", None)]
    message = refused("news/xlsum:klingon", tmp_path / "cache")
    assert "(ValueError: " in message and "portuguese" in message and "english" in message


def test_a_dataset_with_a_script_is_read_as_the_hub_converted_it(tmp_path, monkeypatch):
    import datasets

    asked = []

    def load(name, config, split, streaming, revision=None):
        asked.append((config, split, revision))
        if revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found xlsum.py")
        if split:
            raise ValueError("Config name is missing.")
        return {"train": [{"text": config}], "test": []}

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert rows(fetch("news/xlsum:portuguese", tmp_path, progress=False)) == [
        {"text": "portuguese"}
    ]
    assert asked == [
        (None, "portuguese", None),
        (None, "portuguese", "refs/convert/parquet"),
        ("portuguese", None, None),
        ("portuguese", None, "refs/convert/parquet"),
    ]


def test_a_prepared_hub_dataset_is_known_by_its_name(tmp_path, hub):
    lines = [
        {
            "uid": f"{n}",
            "title": f"Kettle {n}",
            "content": f"{n} copper kettles stand on shelf {n}.",
        }
        for n in range(20)
    ]
    told = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "hub" / "train.jsonl").write_text(told)
    (tmp_path / "here.jsonl").write_text(told)
    assert (
        prepare_catalogue("shop/music:train", Run(tmp_path / "run"), progress=False)["source"][
            "dataset"
        ]
        == "shop/music"
    )
    assert (
        "dataset"
        not in prepare_catalogue(
            str(tmp_path / "here.jsonl"), Run(tmp_path / "other"), progress=False
        )["source"]
    )


def test_a_hub_dataset_is_complete_or_not_there(tmp_path, monkeypatch):
    import datasets

    def broken():
        yield {"title": "Kettle"}
        raise ConnectionError(f"https://hub.example/?token={SECRET}")

    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: broken())
    message = refused("shop/music:train", tmp_path / "cache")
    assert (
        "no file or folder 'shop/music', and the Hub gives no such dataset (ConnectionError): "
        "check its name" in message
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_split_that_is_not_there_is_named(tmp_path, hub):
    message = refused("shop/music:nowhere", tmp_path / "cache")
    assert "(ValueError: " in message and "nowhere" in message and "train" in message


def test_a_dataset_with_splits_and_no_training_split(tmp_path, hub):
    (tmp_path / "hub" / "train.jsonl").rename(tmp_path / "hub" / "validation.jsonl")
    assert "(ValueError: name one of its splits, as shop/music:" in refused(
        "shop/music", tmp_path / "cache"
    )
    (tmp_path / "hub" / "validation.jsonl").unlink()
    assert len(rows(fetch("shop/music", tmp_path / "cache", progress=False))) == 3


def test_a_token_in_the_hubs_words_is_not_repeated(tmp_path, monkeypatch):
    import datasets

    def refuse(*args, **options):
        raise ValueError("no access with hf_abcdefSECRET\nmore")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    message = refused("shop/music", tmp_path)
    assert "(ValueError: no access with hf_...)" in message


def test_a_hub_dataset_without_rows(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: iter(()))
    assert "the Hub dataset 'shop/music' has no rows" in refused("shop/music:train", tmp_path)


def test_the_real_hub_is_out_of_reach_here(tmp_path):
    assert (
        "there is no file or folder 'shop/music', and the Hub gives no such dataset ("
        in refused("shop/music", tmp_path)
    )


def test_odd_text_of_a_hub_dataset_is_kept(tmp_path, monkeypatch):
    import datetime

    import datasets

    row = {"title": "half \ud800", "seen": datetime.date(2024, 1, 2)}
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: iter([row]))
    assert rows(fetch("shop/music:train", tmp_path, progress=False)) == [
        {"title": "half \ud800", "seen": "2024-01-02"}
    ]
