"""SOURCE -> a file or folder here: what is at a URL, on Google Drive or on the Hub, downloaded once."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from tqdm import tqdm

from train.prepare.downloading import TIMEOUT, TRIES, download, finished, refuse_page, shown
from train.prepare.reading import KINDS, SourceError

# LF-AmazonTitles-1.3M, the dataset that all this is made for, is gdrive:12zH4mL2RX8iSvH0VCNnd3QxO4DzuHWnK
DRIVE = "https://drive.google.com/uc?id={}"
DRIVE_HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
DRIVE_ID = re.compile(r"(?:^gdrive:|/d/|[?&]id=)([\w-]{10,})")
HUB = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?::([\w.-]+))?(?::([\w.-]+))?")
PARQUET = "refs/convert/parquet"  # the branch of a Hub dataset with what the Hub converted
ROWS = 100_000  # rows of a Hub dataset in a file


def fetch(source: str, cache: Path, progress: bool = True) -> Path:
    """Returns the local file or folder of `source`, downloaded into `cache` where it is not here and not done already.

    `source` is a path, an http(s) URL, gdrive:ID or a Google Drive address, or a Hub dataset as user/name, user/name:split,
    user/name:config (where it has no split of that name) or user/name:config:split. A download that was cut goes on where it
    was. Raises SourceError, without a token in it.
    """
    if os.path.exists(source):
        return Path(source)
    try:
        scheme, host = (source.partition(":")[0].lower(), urlsplit(source).hostname)
    except ValueError:
        scheme, host = "", None
    hub = HUB.fullmatch(source)
    place = cache / hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()[:16]
    try:
        if scheme == "gdrive" or host in DRIVE_HOSTS:
            return _from_drive(source, place, progress)
        if scheme in ("http", "https") and host:
            return download(source, place, progress)
        if hub and not source.lower().endswith(KINDS):
            name, first, second = hub.groups()
            config, split = (first, second) if second else (None, first)
            return _from_hub(name, config, split, place, progress)
    except OSError as error:
        raise SourceError(
            f"{error.filename or place}: {error.strerror or error}; a download needs a folder that can be "
            "written, with room on its disk"
        ) from None
    raise SourceError(
        f"there is no file or folder {shown(source)!r}, and it is no http(s) URL, gdrive:ID or Hub dataset's "
        "user/name: check its spelling"
    )


def hub_dataset(source: str) -> str | None:
    """Returns the user/name of a source that is a data set on the Hub, None for any other."""
    hub = (
        None if os.path.exists(source) or source.lower().endswith(KINDS) else HUB.fullmatch(source)
    )
    return hub and hub[1]


def _from_drive(source: str, place: Path, progress: bool) -> Path:
    """Returns the whole file that is on Google Drive."""
    import gdown  # slow to load
    import requests

    found = DRIVE_ID.search(source)
    if not found:
        raise SourceError(
            f"{shown(source)} names no file on Google Drive: give gdrive:ID, with the ID that stands after "
            "/d/ or id= in the file's own address"
        )
    name, done = f"gdrive:{found[1]}", finished(place)
    if done:
        return done
    place.mkdir(parents=True, exist_ok=True)
    with tqdm(unit="B", unit_scale=True, desc=name, disable=not progress) as bar:

        def moved(so_far: int, total: int | None) -> None:
            bar.total = total
            bar.update(so_far - bar.n)

        try:
            # Cookies would be left in the user's home, and a public file needs none.
            file = Path(
                gdown.download(
                    url=DRIVE.format(found[1]),
                    output=f"{place}{os.sep}",
                    quiet=True,
                    use_cookies=False,
                    resume=True,
                    progress=moved,
                    timeout=TIMEOUT,
                    retries=TRIES,
                )
            )
        except (
            gdown.exceptions.FileURLRetrievalError,
            gdown.exceptions.DownloadError,
            requests.RequestException,
        ) as error:
            raise SourceError(
                f"{name} cannot be downloaded from Google Drive ({type(error).__name__}): too many may have "
                f"asked for it today, or it is not shared; open https://drive.google.com/file/d/{found[1]} in "
                "a browser, download it there and give the file"
            ) from None
    refuse_page(file, name)
    if not file.name.lower().endswith(KINDS):
        file.unlink()
        raise SourceError(
            f"{name} is {file.name!r}, not of a kind that can be read ({', '.join(KINDS)}): download it by "
            "hand and unpack or convert it"
        )
    return file


def _from_hub(
    name: str, config: str | None, split: str | None, place: Path, progress: bool
) -> Path:
    """Returns the folder with a Hub dataset's rows as JSON lines, complete or not there."""
    if place.is_dir():
        return place
    building = place.with_name(f"{place.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
        rows = iter(
            tqdm(_hub_rows(name, config, split), unit=" rows", desc=name, disable=not progress)
        )
        for number, first in enumerate(rows):
            with (building / f"{split or 'rows'}-{number:05}.jsonl").open("wb") as file:
                file.writelines(
                    map(_line, itertools.chain([first], itertools.islice(rows, ROWS - 1)))
                )
        if not any(building.iterdir()):
            raise SourceError(
                f"the Hub dataset {name!r} has no rows: give another split, as {name}:train"
            )
        return building.rename(place)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _hub_rows(name: str, config: str | None, split: str | None) -> Iterator[dict]:
    """Yields a Hub dataset's rows: those of the split, or of the training split, or of the only one."""
    import datasets  # slow to load

    try:
        data, split = _loaded(datasets.load_dataset, name, config, split)
        if split is None:
            if "train" not in data and len(data) > 1:
                raise ValueError(
                    f"name one of its splits, as {name}:{next(iter(data))}, of {', '.join(data)}"
                )
            data = data["train"] if "train" in data else next(iter(data.values()))
        yield from data
    except Exception as error:  # the library raises whatever its readers and its network raise
        reason = (
            re.sub(r"hf_\w+", "hf_...", str(error).partition("\n")[0][:300])
            if type(error) is ValueError
            else ""
        )
        raise SourceError(
            f"there is no file or folder {name!r}, and the Hub gives no such dataset ({type(error).__name__}"
            f"{reason and f': {reason}'}): check its name; for one that is gated or private, ask for access "
            "on its page and log in with `hf auth login`"
        ) from None


def _loaded(load: Callable, name: str, config: str | None, split: str | None):
    """Returns (the dataset, the split that was loaded, None for all of them).

    A lone name after the colon is a split, or else a config. One that only a script of its own can read is read as the Parquet
    files that the Hub made of it; its script is never run.
    """

    def attempt(config: str | None, split: str | None):
        try:
            return load(name, config, split=split, streaming=True)
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            return load(name, config, split=split, streaming=True, revision=PARQUET)

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


def _line(row: dict) -> bytes:
    try:
        return orjson.dumps(row, default=str) + b"\n"
    except TypeError:  # half a surrogate pair
        return json.dumps(row, default=str).encode() + b"\n"
