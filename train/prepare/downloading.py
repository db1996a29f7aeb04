"""A URL -> a file: gone on with where it was cut, and whole or not there."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from tqdm import tqdm

from train.prepare.reading import KINDS, SourceError

TRIES, PAUSE, TIMEOUT = (
    4,
    2.0,
    60,
)  # tries that bring nothing new, seconds before the second, seconds of silence
PROGRESS = 2**20  # bytes that make a try worth while: after them the tries are counted anew
PIECE = 2**20  # bytes
PASSING = (408, 425, 429, 500, 502, 503, 504)  # what a server may be over with soon
REMEDIES = {
    401: "it asks for a login: download it by hand and give the file",
    404: "check the address",
    403: "it is not open to everyone: download it by hand and give the file",
    410: "it is gone: find where it moved",
}
STATE = "download.state"


class Again(Exception):
    """A try broke off; the words say how."""


def shown(url: str) -> str:
    """Returns a URL without what may be secret in it: a password, and the query."""
    return (
        re.sub(r"(?<=://)[^/?#]*@", "", re.split("[?#]", url, maxsplit=1)[0])
        if "://" in url
        else url
    )


def finished(place: Path) -> Path | None:
    """Returns the file that was downloaded into the folder `place`, if it is whole."""
    return next(
        (file for file in sorted(place.glob("*")) if file.name.lower().endswith(KINDS)), None
    )


def refuse_page(file: Path, what: str) -> None:
    """Removes a file that is a web page and raises SourceError."""
    with file.open("rb") as stream:
        beginning = stream.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if beginning.startswith((b"<!doctype html", b"<html")):
        file.unlink()
        raise SourceError(page(what))


def page(what: str) -> str:
    return (
        f"{what} is a web page, not a data file: open it in a browser, it may ask for a login, and give the address of the "
        "file itself"
    )


def download(url: str, place: Path, progress: bool) -> Path:
    """Returns the whole file of a URL, in the folder `place`; raises SourceError where it cannot be had."""
    done = finished(place)
    if done:
        return done
    place.mkdir(parents=True, exist_ok=True)
    tries = 0
    while True:
        before = _received(place)
        try:
            return _try(url, place, progress)
        except Again as error:
            reason, hopeless = str(error), False
        except requests.RequestException as error:
            # requests' own words repeat the whole address, and a token in it.
            reason = f"the connection broke, {type(error).__name__}"
            hopeless = isinstance(error, ValueError)  # an address that nobody can ask
        tries = tries + 1 if _received(place) < before + PROGRESS else 0
        if tries >= TRIES or hopeless:
            raise SourceError(
                f"{shown(url)} cannot be downloaded ({reason}): check the address and your connection; the "
                f"same command goes on after the {_received(place):,} bytes that are here"
            )
        time.sleep(PAUSE * tries)


def _try(url: str, place: Path, progress: bool) -> Path:
    """Downloads what is missing and returns the whole file; raises Again where it is worth another try."""
    state, have = _state(place), _received(place)
    headers = {"Accept-Encoding": "identity"}  # a place in the file is then one in what is sent
    if have:
        headers |= {"Range": f"bytes={have}-"}
        if not state["validator"].startswith("W/"):  # a weak ETag must not be asked for
            headers["If-Range"] = state["validator"]
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if have and response.status_code in (206, 416) and not _goes_on(response, state, have):
            (place / STATE).unlink()  # the next try begins anew
            raise Again("the file has changed on the server")
        _check(url, response, have)
        if response.status_code == 200:
            have, state = 0, _new_state(url, response)
            (place / STATE).write_text(json.dumps(state), encoding="utf-8")
        part = place / f"{state['name']}.part"
        _receive(response, part, have, state, progress)
    size, wanted = part.stat().st_size, state["bytes"]
    if wanted is not None and size != wanted:
        if size > wanted:
            part.unlink()
        raise Again(f"{size:,} of {wanted:,} bytes arrived")
    refuse_page(part, shown(url))
    _check_digest(part, state)
    return part.rename(place / state["name"])


def _state(place: Path) -> dict | None:
    """What is known of a download that was begun: name, validator, bytes and digests."""
    try:
        return json.loads((place / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _received(place: Path) -> int:
    """Returns the bytes that are here to go on from; none where a changed file could not be told."""
    state = _state(place)
    part = place / f"{state['name']}.part" if state and state["validator"] else None
    return part.stat().st_size if part and part.exists() else 0


def _goes_on(response: requests.Response, state: dict, have: int) -> bool:
    """Tells whether a partial answer is the rest of what is here."""
    rest = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    return (
        rest is not None
        and int(rest[1]) == have
        and rest[2] in ("*", str(state["bytes"]))
        and _validator(response) in (None, state["validator"])
    )


def _validator(response: requests.Response) -> str | None:
    return response.headers.get("ETag") or response.headers.get("Last-Modified")


def _check(url: str, response: requests.Response, have: int) -> None:
    """Raises for an answer that is no data."""
    status = response.status_code
    if status in PASSING:
        raise Again(f"HTTP {status} {response.reason}")
    if status != 200 and not (status == 206 and have):
        raise SourceError(
            f"{shown(url)} answers HTTP {status} {response.reason}: "
            f"{REMEDIES.get(status, 'open it in a browser and see what it says')}"
        )
    if (
        response.headers.get("Content-Type", "")
        .lower()
        .startswith(("text/html", "application/xhtml"))
    ):
        raise SourceError(page(shown(url)))


def _new_state(url: str, response: requests.Response) -> dict:
    """What is known of a download before its first byte; raises SourceError for a kind that cannot be read."""
    headers = response.headers
    given = re.search(r'filename="?([^";]+)', headers.get("Content-Disposition", ""))
    named = [
        urlsplit(url).path,
        *([given[1].strip()] if given else []),
        urlsplit(response.url).path,
    ]
    names = [
        re.sub(r"[\x00-\x1f]", "", unquote(name).replace("\\", "/").rpartition("/")[2])
        for name in named
    ]
    name = next((name for name in names if name.lower().endswith(KINDS)), None)
    if name is None:
        raise SourceError(
            f"{shown(url)} is {names[0][:100]!r}, not of a kind that can be read ({', '.join(KINDS)}): "
            "download it by hand and unpack or convert it"
        )
    length = headers.get("Content-Length", "")
    return {
        "name": name,
        "validator": _validator(response),
        "bytes": int(length) if length.isdigit() else None,
        "md5": headers.get("Content-MD5"),
        "sha256": headers.get("x-amz-checksum-sha256"),
    }


def _receive(
    response: requests.Response, part: Path, have: int, state: dict, progress: bool
) -> None:
    """Adds the answer's bytes to the part; raises Again where they break off."""
    bar = tqdm(
        total=state["bytes"],
        initial=have,
        unit="B",
        unit_scale=True,
        desc=state["name"],
        disable=not progress,
    )
    with part.open("ab" if have else "wb") as file, bar:
        while True:
            try:
                piece = response.raw.read(PIECE, decode_content=False)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Again(f"the connection broke, {type(error).__name__}") from None
            if not piece:
                return
            file.write(piece)
            bar.update(len(piece))


def _check_digest(part: Path, state: dict) -> None:
    """Removes a part that is not what the server has and raises Again."""
    for kind in ("md5", "sha256"):
        wanted = state[kind]
        if wanted and "-" not in wanted:  # "-" stands in the digest of an upload in several parts
            with part.open("rb") as file:
                digest = hashlib.file_digest(file, kind).digest()
            if base64.b64encode(digest).decode() != wanted:
                part.unlink()
                raise Again(f"its {kind} is not the one that the server gives")
