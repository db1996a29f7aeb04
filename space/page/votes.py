"""Votes that visitors agreed to have kept: append-only files, a line of JSON a vote, and from there a dataset on the Hub."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx2
from huggingface_hub import CommitScheduler, HfApi, snapshot_download

from space.page.ballot import VERDICTS, Ballot, Tally
from space.settings import Settings
from space.texts import clean_text

FILES = "votes-*.jsonl"
EVERY = 5  # minutes from one commit to the next
MODELS = ("base", "base_revision", "adapter", "adapter_revision")
log = logging.getLogger(__name__)


class VotesError(ValueError):
    """Votes cannot be kept where the settings say; the words are one line for the owner."""


class Votes:
    """The votes of a folder, and of a Hub dataset where one is named. What keep() returned from survives a crash.

    Each start of the program writes a file of its own, so that nothing is ever added to what a crash left behind.
    """

    def __init__(self, folder: Path, repo: str | None = None, every: float = EVERY) -> None:
        self.folder, self.repo, self.private = folder, repo, True
        self._file, self._stamp, self._tally = None, 0, Counter()
        with told("VOTES_DIR", folder, "name a folder that can be written"):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError("it cannot be written")
            here = {path.name: path for path in folder.glob(FILES)}
        self._scheduler = self._join(every) if repo else None
        # The dataset has what an earlier start left there, from a disk that may be gone; a file that is here is the longer one.
        for path in (self._sent() | here).values():
            self._tally.update(map(_counted, read(path)))
        # Whoever lists the folder to send it holds the same lock: no line is sent in half.
        self._lock = self._scheduler.lock if self._scheduler else threading.Lock()

    def keep(self, vote: Mapping) -> None:
        """Writes one vote, which is whole and on the disk when this returns; raises OSError and keeps nothing of it else."""
        line = json.dumps(vote, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            if self._file is None:
                self._file = self._open()
            end = os.fstat(self._file).st_size
            try:
                self._append(line)
            except OSError:
                self._give_up(end)
                raise
            self._tally[_counted(vote)] += 1

    def tally(self, info: Mapping) -> Tally:
        """Returns the kept votes between two models, which `info` names as Engine.info() does."""
        with self._lock:
            return Tally(
                **{
                    verdict: self._tally[(*(info[name] for name in MODELS), verdict)]
                    for verdict in VERDICTS
                }
            )

    def send(self) -> None:
        """Sends to the Hub now what is new, as is done every few minutes; raises what the Hub's library raises."""
        self._scheduler.trigger().result()

    def close(self) -> None:
        """Ends the sending and the writing."""
        if self._scheduler:
            self._scheduler.stop()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        path = (
            self.folder / f"votes-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:12]}.jsonl"
        )
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        with contextlib.suppress(OSError):  # not every system has folders that can be synced
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)  # the file's name, too, is to survive
            finally:
                os.close(folder)
        return file

    def _append(self, line: bytes) -> None:
        if os.write(self._file, line) != len(line):
            raise OSError(f"there was no room for a whole line in {self.folder}")
        # What is sent is told by its time of change, which two votes within one tick of the system's clock would share.
        self._stamp = max(time.time_ns(), self._stamp + 1000)
        os.utime(self._file, ns=(self._stamp, self._stamp))
        os.fsync(self._file)

    def _give_up(self, end: int) -> None:
        """Takes back what a failed write left, and never touches its file again."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, end)
        with contextlib.suppress(OSError):
            os.close(self._file)
        self._file = None

    def _join(self, every: float) -> CommitScheduler:
        with told(
            "VOTES_REPO", self.repo, "HF_TOKEN must be a token that may write to this dataset"
        ):
            scheduler = CommitScheduler(
                repo_id=self.repo,
                repo_type="dataset",
                folder_path=self.folder,
                every=every,
                private=True,
                allow_patterns=[FILES],
            )
            self.private = bool(HfApi().dataset_info(self.repo).private)
            return scheduler

    def _sent(self) -> dict[str, Path]:
        """Returns the dataset's files by name, as they are on the Hub now."""
        if not self.repo:
            return {}
        with told("VOTES_REPO", self.repo, "it must be there to be read"):
            folder = Path(snapshot_download(self.repo, repo_type="dataset", allow_patterns=[FILES]))
        return {path.name: path for path in folder.glob(FILES)}


def open_votes(settings: Settings) -> Votes | None:
    """Returns where votes are kept, or None where they are not; raises VotesError."""
    if settings.votes_dir is None:
        return None
    return Votes(Path(settings.votes_dir), settings.votes_repo)


def line_of(ballot: Ballot, verdict: str, info: Mapping) -> dict:
    """Returns all that is kept of one vote: who sent it is not known here."""
    return {
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "verdict": verdict,
        "question": clean_text(ballot.question),
        "base_answer": ballot.answers["base"],
        "tuned_answer": ballot.answers["tuned"],
        "first": ballot.order[0],
        **ballot.options,
        **{name: info[name] for name in (*MODELS, "precision", "version")},
    }


def read(path: Path) -> Iterator[dict]:
    """Yields the votes of a file; a last line without an end, which a crash left, and what is no vote are passed over."""
    *lines, _torn = path.read_bytes().split(b"\n")
    for line in lines:
        try:
            vote = json.loads(line)
        except ValueError:
            vote = None
        if (
            isinstance(vote, dict)
            and vote.get("verdict") in VERDICTS
            and all(isinstance(vote.get(name), str | None) for name in MODELS)
        ):
            yield vote
        else:
            log.warning("%s has a line that is not a vote: %r", path.name, line[:80])


def _counted(vote: Mapping) -> tuple:
    return (*(vote.get(name) for name in MODELS), vote["verdict"])


@contextlib.contextmanager
def told(variable: str, value, remedy: str) -> Iterator[None]:
    """Turns what the system or the Hub raises into one line that names the setting."""
    try:
        yield
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = next(
            (line for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        raise VotesError(f"{variable} is {value}: {reason}; {remedy}") from error
