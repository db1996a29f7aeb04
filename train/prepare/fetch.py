"""Fetch a source from a URL, Google Drive or the Hub; a download that was cut is resumed."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import unquote, urlsplit

import orjson
import requests
import urllib3
from tqdm import tqdm

from train.prepare.source import KINDS, SourceError
from train.retry import TRANSIENT_STATUSES, GaveUp, Transient, retry, retry_after

# LF-AmazonTitles-1.3M, the data set that this project is made for, is
# gdrive:12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK
DRIVE = "https://drive.google.com/uc?id={}"
DRIVE_HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
DRIVE_ID = re.compile(r"(?:^gdrive:|/d/|[?&]id=)([\w-]{10,})")
HUB = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?::([\w.-]+))?(?::([\w.-]+))?")
PARQUET_BRANCH = "refs/convert/parquet"  # of a Hub dataset: what the Hub converted
ROWS = 100_000  # rows of a Hub dataset in a file

TRIES, PAUSE, TIMEOUT = 4, 2.0, 60  # failures in a row, seconds before the second try, seconds
PROGRESS = 2**20  # bytes; a try that brings as many starts the count of failures anew
PIECE = 2**20  # bytes
REMEDIES = {
    401: "it asks for a login: download it by hand and give the file",
    404: "check the address",
    403: "it is not open to everyone: download it by hand and give the file",
    410: "it is gone: find where it moved",
}
STATE = "download.state"


def fetch(source: str, cache: Path, progress: bool = True) -> Path:
    """Return the local file or folder of `source`, downloaded into `cache` once.

    `source` is a path, an http(s) URL, gdrive:ID or a Google Drive address, or a Hub dataset as
    user/name, user/name:split, user/name:config (where it has no split of that name) or
    user/name:config:split. Raise SourceError, without a token in it.
    """
    if os.path.exists(source):
        return Path(source)
    try:
        scheme, host = source.partition(":")[0].lower(), urlsplit(source).hostname
    except ValueError:
        scheme, host = "", None
    hub = HUB.fullmatch(source)
    folder = cache / hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()[:16]
    try:
        if scheme == "gdrive" or host in DRIVE_HOSTS:
            return _download_from_drive(source, folder, progress)
        if scheme in ("http", "https") and host:
            return _download(source, folder, progress)
        if hub and not source.lower().endswith(KINDS):
            name, first, second = hub.groups()
            config, split = (first, second) if second else (None, first)
            return _download_from_hub(name, config, split, folder, progress)
    except OSError as error:
        raise SourceError(
            f"{error.filename or folder}: {error.strerror or error}; a download needs a folder "
            "that can be written, with room on its disk"
        ) from None
    raise SourceError(
        f"there is no file or folder {redact_url(source)!r}, and it is no http(s) URL, gdrive:ID "
        "or Hub dataset's user/name: check its spelling"
    )


def hub_dataset(source: str) -> str | None:
    """Return the user/name of a Hub dataset, None for another source."""
    if os.path.exists(source) or source.lower().endswith(KINDS):
        return None
    hub = HUB.fullmatch(source)
    return hub[1] if hub else None


def redact_url(url: str) -> str:
    """Remove what may be secret: a URL's password and query."""
    if "://" not in url:
        return url
    return re.sub(r"(?<=://)[^/?#]*@", "", re.split("[?#]", url, maxsplit=1)[0])


def _find_download(folder: Path) -> Path | None:
    """Return the complete file in a download folder, or None."""
    files = sorted(folder.glob("*"))
    return next((file for file in files if file.name.lower().endswith(KINDS)), None)


def _refuse_web_page(file: Path, source: str) -> None:
    """Remove a file that is a web page, and raise SourceError."""
    with file.open("rb") as stream:
        beginning = stream.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if beginning.startswith((b"<!doctype html", b"<html")):
        file.unlink()
        raise SourceError(_web_page(source))


def _web_page(source: str) -> str:
    return (
        f"{source} is a web page, not a data file: open it in a browser, it may ask for a login, "
        "and give the address of the file itself"
    )


# --- a URL -----------------------------------------------------------------------------------


class DownloadState(TypedDict):
    """What is known of a download before its first byte."""

    name: str
    validator: str | None  # ETag or Last-Modified
    bytes: int | None
    md5: str | None  # base64
    sha256: str | None  # base64


def _download(url: str, folder: Path, progress: bool) -> Path:
    done = _find_download(folder)
    if done:
        return done
    folder.mkdir(parents=True, exist_ok=True)

    def transient(error: Exception) -> Transient | None:
        # An address that nobody can ask, a ValueError, stays so.
        if isinstance(error, requests.RequestException) and not isinstance(error, ValueError):
            return _broken_connection(error)
        return error if isinstance(error, Transient) else None

    def notify(message: str) -> None:
        if progress:
            tqdm.write(f"{redact_url(url)}: {message}", file=sys.stderr)

    try:
        return retry(
            lambda: _download_rest(url, folder, progress),
            tries=TRIES,
            pause=PAUSE,
            transient=transient,
            progress=lambda: _count_received(folder),
            enough=PROGRESS,
            notify=notify,
        )
    except GaveUp as error:
        reason = str(error)
    except requests.RequestException as error:
        reason = str(_broken_connection(error))
    raise SourceError(
        f"{redact_url(url)} cannot be downloaded ({reason}): check the address and your "
        f"connection; the same command goes on after the {_count_received(folder):,} bytes that "
        "are here"
    )


def _broken_connection(error: Exception) -> Transient:
    # The error's own message repeats the whole address, and a token in it.
    return Transient(f"the connection broke, {type(error).__name__}")


def _download_rest(url: str, folder: Path, progress: bool) -> Path:
    """Download what is missing, or raise Transient."""
    state, received = _read_state(folder), _count_received(folder)
    headers = {"Accept-Encoding": "identity"}  # so that a Range counts the bytes of the file
    if state and received:
        headers["Range"] = f"bytes={received}-"
        validator = state["validator"]
        if validator and not validator.startswith("W/"):  # If-Range forbids a weak ETag
            headers["If-Range"] = validator
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        resumed = response.status_code in (206, 416)
        if state and received and resumed and not _is_rest(response, state, received):
            (folder / STATE).unlink()  # the next try begins anew
            raise Transient("the file has changed on the server")
        _check_response(url, response, received)
        if state is None or response.status_code == 200:
            received, state = 0, _new_state(url, response)
            (folder / STATE).write_text(json.dumps(state), encoding="utf-8")
        part = folder / f"{state['name']}.part"
        bar = {"total": state["bytes"], "initial": received, "desc": state["name"]}
        with (
            part.open("ab" if received else "wb") as file,
            tqdm(**bar, unit="B", unit_scale=True, disable=not progress) as shown,
        ):
            try:
                for piece in response.raw.stream(PIECE, decode_content=False):
                    file.write(piece)
                    shown.update(len(piece))
            except urllib3.exceptions.HTTPError as error:
                raise _broken_connection(error) from None
    size, expected = part.stat().st_size, state["bytes"]
    if expected is not None and size != expected:
        if size > expected:
            part.unlink()
        raise Transient(f"{size:,} of {expected:,} bytes arrived")
    _refuse_web_page(part, redact_url(url))
    _check_digest(part, state)
    return part.rename(folder / state["name"])


def _read_state(folder: Path) -> DownloadState | None:
    try:
        return json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _count_received(folder: Path) -> int:
    """Count the bytes to resume after, 0 without a validator."""
    state = _read_state(folder)
    if not state or not state["validator"]:
        return 0
    part = folder / f"{state['name']}.part"
    return part.stat().st_size if part.exists() else 0


def _is_rest(response: requests.Response, state: DownloadState, received: int) -> bool:
    """Check that a partial answer is the rest of the file."""
    content_range = response.headers.get("Content-Range", "")
    rest = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)
    return (
        rest is not None
        and int(rest[1]) == received
        and rest[2] in ("*", str(state["bytes"]))
        and _validator(response) in (None, state["validator"])
    )


def _validator(response: requests.Response) -> str | None:
    return response.headers.get("ETag") or response.headers.get("Last-Modified")


def _check_response(url: str, response: requests.Response, received: int) -> None:
    """Raise for an answer that is no data."""
    status = response.status_code
    if status in TRANSIENT_STATUSES:
        raise Transient(f"HTTP {status} {response.reason}", retry_after(response.headers))
    if status != 200 and not (status == 206 and received):
        remedy = REMEDIES.get(status, "open it in a browser and see what it says")
        raise SourceError(f"{redact_url(url)} answers HTTP {status} {response.reason}: {remedy}")
    kind = response.headers.get("Content-Type", "").lower()
    if kind.startswith(("text/html", "application/xhtml")):
        raise SourceError(_web_page(redact_url(url)))


def _new_state(url: str, response: requests.Response) -> DownloadState:
    """Read the headers of a download, or refuse its kind of file."""
    headers = response.headers
    paths = [urlsplit(url).path, urlsplit(response.url).path]
    disposition = re.search(r'filename="?([^";]+)', headers.get("Content-Disposition", ""))
    if disposition:
        paths.insert(1, disposition[1].strip())
    names = []
    for path in paths:
        base = unquote(path).replace("\\", "/").rpartition("/")[2]
        names.append(re.sub(r"[\x00-\x1f]", "", base))
    name = next((name for name in names if name.lower().endswith(KINDS)), None)
    if name is None:
        raise SourceError(
            f"{redact_url(url)} is {names[0][:100]!r}, not of a kind that can be read "
            f"({', '.join(KINDS)}): download it by hand and unpack or convert it"
        )
    length = headers.get("Content-Length", "")
    return {
        "name": name,
        "validator": _validator(response),
        "bytes": int(length) if length.isdigit() else None,
        "md5": headers.get("Content-MD5"),
        "sha256": headers.get("x-amz-checksum-sha256"),
    }


def _check_digest(part: Path, state: DownloadState) -> None:
    """Compare a download with the server's digest.

    Where they differ, remove it and raise Transient.
    """
    for kind, expected in (("md5", state["md5"]), ("sha256", state["sha256"])):
        if not expected or "-" in expected:  # the digest of an upload in several parts
            continue
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, kind).digest()
        if base64.b64encode(digest).decode() != expected:
            part.unlink()
            raise Transient(f"its {kind} is not the one that the server gives")


# --- Google Drive ----------------------------------------------------------------------------


def _download_from_drive(source: str, folder: Path, progress: bool) -> Path:
    import gdown  # slow to load

    found = DRIVE_ID.search(source)
    if not found:
        raise SourceError(
            f"{redact_url(source)} names no file on Google Drive: give gdrive:ID, with the ID that "
            "stands after /d/ or id= in the file's own address"
        )
    name, done = f"gdrive:{found[1]}", _find_download(folder)
    if done:
        return done
    folder.mkdir(parents=True, exist_ok=True)
    with tqdm(unit="B", unit_scale=True, desc=name, disable=not progress) as bar:

        def update(so_far: int, total: int | None) -> None:
            bar.total = total
            bar.update(so_far - bar.n)

        try:
            downloaded = gdown.download(
                url=DRIVE.format(found[1]),
                output=f"{folder}{os.sep}",
                quiet=True,
                use_cookies=False,  # they would stay in the user's home, and are not needed
                resume=True,
                progress=update,
                timeout=TIMEOUT,
                retries=TRIES,
            )
        except (
            gdown.exceptions.FileURLRetrievalError,
            gdown.exceptions.DownloadError,
            requests.RequestException,
        ) as error:
            raise SourceError(
                f"{name} cannot be downloaded from Google Drive ({type(error).__name__}): too many "
                "may have asked for it today, or it is not shared; open "
                f"https://drive.google.com/file/d/{found[1]} in a browser, download it there and "
                "give the file"
            ) from None
    file = Path(str(downloaded))
    _refuse_web_page(file, name)
    if not file.name.lower().endswith(KINDS):
        file.unlink()
        raise SourceError(
            f"{name} is {file.name!r}, not of a kind that can be read ({', '.join(KINDS)}): "
            "download it by hand and unpack or convert it"
        )
    return file


# --- a Hub dataset ---------------------------------------------------------------------------


def _download_from_hub(
    name: str, config: str | None, split: str | None, folder: Path, progress: bool
) -> Path:
    """Write a Hub dataset's rows to a folder, atomically."""
    if folder.is_dir():
        return folder
    building = folder.with_name(f"{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
        rows = _hub_rows(name, config, split)
        lines = map(_row_line, tqdm(rows, unit=" rows", desc=name, disable=not progress))
        for number, first in enumerate(lines):
            with (building / f"{split or 'rows'}-{number:05}.jsonl").open("wb") as file:
                file.write(first)
                file.writelines(itertools.islice(lines, ROWS - 1))
        if not any(building.iterdir()):
            raise SourceError(
                f"the Hub dataset {name!r} has no rows: give another split, as {name}:train"
            )
        return building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _hub_rows(name: str, config: str | None, split: str | None) -> Iterator[dict]:
    """Yield the rows of the named, the training or the only split."""
    import datasets  # slow to load

    try:
        data, split = _load_dataset(datasets.load_dataset, name, config, split)
        if split is None:
            if "train" not in data and len(data) > 1:
                raise ValueError(
                    f"name one of its splits, as {name}:{next(iter(data))}, of {', '.join(data)}"
                )
            data = data["train"] if "train" in data else next(iter(data.values()))
        yield from data
    except Exception as error:  # the library raises whatever its readers and its network raise
        reason = type(error).__name__
        if type(error) is ValueError:
            message = str(error).partition("\n")[0][:300]
            reason += ": " + re.sub(r"hf_\w+", "hf_...", message)
        raise SourceError(
            f"there is no file or folder {name!r}, and the Hub gives no such dataset ({reason}): "
            "check its name; for one that is gated or private, ask for access on its page and log "
            "in with `hf auth login`"
        ) from None


def _load_dataset(
    load: Callable[..., Any], name: str, config: str | None, split: str | None
) -> tuple[Any, str | None]:
    """Return the dataset and the split that was loaded.

    The split is None for all of them. A lone name after the colon is a split, or else a config. A
    dataset that only its own script can read is read as the Parquet files that the Hub made of it;
    no script is run.
    """

    def attempt(config: str | None, split: str | None) -> Any:
        try:
            return load(name, config, split=split, streaming=True)
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            return load(name, config, split=split, streaming=True, revision=PARQUET_BRANCH)

    try:
        return attempt(config, split), split
    except ValueError as no_split:
        if config or not split:
            raise
        try:
            return attempt(split, None), None
        except ValueError as no_config:
            # Of the two errors the one that names what there is.
            raise (no_config if "Config name is missing" in str(no_split) else no_split) from None


def _row_line(row: dict) -> bytes:
    try:
        return orjson.dumps(row, default=str) + b"\n"
    except TypeError:  # a lone surrogate
        return json.dumps(row, default=str).encode() + b"\n"
