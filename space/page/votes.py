"""The blind test's votes: one for each ballot, kept in files and in a dataset on the Hub."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeGuard

import httpx2
from gradio.context import LocalContext
from huggingface_hub import CommitScheduler, HfApi, snapshot_download

from space.engine import Info
from space.errors import InputError
from space.model import COLUMNS
from space.page.limits import read_address
from space.settings import Settings
from space.texts import remove_controls

CHOICES = ("a", "b", "tie", "both_bad")
VERDICTS = (*COLUMNS, "tie", "both_bad")  # what a choice means once the names are known
LIFETIME = 3600  # seconds after the question in which a ballot takes its vote
READING = 2.0  # seconds that two answers take to read, at the least
# Votes that are kept within a minute: of one address, and of all.
PER_ADDRESS, PER_MINUTE = 6, 60
Z95 = 1.959964  # standard deviations around the mean of a normal distribution that hold 95% of it

FILES = "votes-*.jsonl"
EVERY = 5  # minutes from one commit to the next
MODELS = ("base", "base_revision", "adapter", "adapter_revision")
log = logging.getLogger(__name__)


# --- one ballot ------------------------------------------------------------------------------


def draw_order() -> tuple[str, str]:
    return secrets.choice((("base", "tuned"), ("tuned", "base")))


@dataclass
class Ballot:
    """Two answers to one question in a random order, which only the server knows."""

    question: str
    options: Mapping = field(default_factory=dict)  # how the answers were asked for
    order: tuple[str, str] = field(default_factory=draw_order)  # the first one is shown as A
    answers: dict[str, str] = field(default_factory=lambda: dict.fromkeys(COLUMNS, ""))
    sources: int = 0  # records that can be cited
    ended: bool = False
    ended_at: float = 0.0  # by time.monotonic(); 0 for a ballot that nobody timed
    choice: str = ""  # one of CHOICES, once there is a vote
    made: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def end(self) -> None:
        """Note that the answers have come to their end."""
        self.ended, self.ended_at = True, time.monotonic()

    def columns(self) -> tuple[str, str]:
        """Return the answers in the order A, B."""
        return self.answers[self.order[0]], self.answers[self.order[1]]

    def verdict(self, choice: str) -> str:
        """Return which of VERDICTS a choice is."""
        return self.order[CHOICES.index(choice)] if choice in ("a", "b") else choice

    def vote(self, choice: str, keep: Callable[[str], None] | None = None) -> str:
        """Take the ballot's one vote, `keep` its verdict, and return it.

        Raises InputError if the answers have not ended, cannot have been read yet, are too old or
        have their vote. Of several votes at once one is taken; a vote that `keep` fails to keep is
        not taken.
        """
        with self.lock:
            if not self.ended:
                raise InputError("vote_early")
            if self.choice:
                raise InputError("vote_twice")
            if time.monotonic() - self.made > LIFETIME:
                raise InputError("vote_late")
            if keep and time.monotonic() - self.ended_at < READING:
                raise InputError("vote_fast")
            verdict = self.verdict(choice)
            if keep:
                keep(verdict)
            self.choice = choice
        return verdict


@dataclass(frozen=True)
class Tally:
    """The number of votes for each verdict."""

    base: int = 0
    tuned: int = 0
    tie: int = 0
    both_bad: int = 0

    @property
    def decided(self) -> int:
        """The number of votes that chose a side."""
        return self.base + self.tuned

    def plus(self, verdict: str) -> Tally:
        """Return the tally with one more vote."""
        return replace(self, **{verdict: getattr(self, verdict) + 1})


def wilson(wins: int, count: int) -> tuple[float, float]:
    """Compute Wilson's score interval of a share (0 to 1).

    Wilson, Probable inference, the law of succession, and statistical inference (1927). Unlike the
    normal approximation it holds for few votes and for shares near 0 and 1.
    """
    share, spread = wins / count, Z95 * Z95 / count
    middle = share + spread / 2
    half = Z95 * math.sqrt((share * (1 - share) + spread / 4) / count)
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


# --- kept votes ------------------------------------------------------------------------------


class VotesError(ValueError):
    """Votes cannot be kept where the settings say."""


class Votes:
    """The votes of a folder and, if named, of a Hub dataset; a kept vote survives a crash.

    Each start of the program writes its own file, so nothing is added to what a crash left.
    """

    def __init__(self, folder: Path, repo: str | None = None) -> None:
        self.folder, self.repo, self.private = folder, repo, True
        self._file: int | None = None
        self._mtime = 0  # nanoseconds
        self._counts: Counter[tuple] = Counter()
        self._recent: list[tuple[float, str]] = []  # (when, the address) of a minute's votes
        with name_setting("VOTES_DIR", folder, "name a folder that can be written"):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError("it cannot be written")
            here = {path.name: path for path in folder.glob(FILES)}
        self._scheduler: CommitScheduler | None = None
        sent = {}
        if repo:
            self._scheduler = self._start_sending(repo)
            sent = _download(repo)
        # An earlier start may have lost its disk. Of a file in both places the one here is longer.
        for path in (sent | here).values():
            self._counts.update(map(_key, read_votes(path)))
        # The scheduler holds the same lock while it reads the folder, so it sends no half line.
        self._lock = self._scheduler.lock if self._scheduler else threading.Lock()

    def keep(self, vote: Mapping) -> None:
        """Write one vote to the disk, or nothing of it on OSError."""
        line = json.dumps(vote, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            if self._file is None:
                self._file = self._create_file()
            end = os.fstat(self._file).st_size
            try:
                self._append(self._file, line)
            except OSError:
                self._abandon(self._file, end)
                raise
            self._counts[_key(vote)] += 1

    def check_pace(self, address: str) -> None:
        """Count a vote of an address, which is forgotten within a minute.

        Raises InputError where too many came in this minute.
        """
        with self._lock:
            now = time.monotonic()
            self._recent = [each for each in self._recent if now - each[0] < 60]
            own = sum(each[1] == address for each in self._recent)
            if own >= PER_ADDRESS or len(self._recent) >= PER_MINUTE:
                raise InputError("vote_many")
            self._recent.append((now, address))

    def tally(self, info: Info) -> Tally:
        """Count the kept votes between the two models of Engine.info()."""
        models = [info[name] for name in MODELS]
        with self._lock:
            counts = {verdict: self._counts[(*models, verdict)] for verdict in VERDICTS}
        return Tally(**counts)

    def close(self) -> None:
        """Stop sending and writing."""
        if self._scheduler:
            self._scheduler.stop()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _create_file(self) -> int:
        started = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        path = self.folder / f"votes-{started}-{uuid.uuid4().hex[:12]}.jsonl"
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        with contextlib.suppress(OSError):  # some systems cannot sync a folder
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)  # the file's name must survive too
            finally:
                os.close(folder)
        return file

    def _append(self, file: int, line: bytes) -> None:
        if os.write(file, line) != len(line):
            raise OSError(f"there was no room for a whole line in {self.folder}")
        # The scheduler sends a file whose mtime changed: two votes must not share one.
        self._mtime = max(time.time_ns(), self._mtime + 1000)
        os.utime(file, ns=(self._mtime, self._mtime))
        os.fsync(file)

    def _abandon(self, file: int, end: int) -> None:
        """Remove what a failed write left and leave its file."""
        with contextlib.suppress(OSError):
            os.ftruncate(file, end)
        with contextlib.suppress(OSError):
            os.close(file)
        self._file = None

    def _start_sending(self, repo: str) -> CommitScheduler:
        remedy = "HF_TOKEN must be a token that may write to this dataset"
        with name_setting("VOTES_REPO", repo, remedy):
            scheduler = CommitScheduler(
                repo_id=repo,
                repo_type="dataset",
                folder_path=self.folder,
                every=EVERY,
                private=True,
                allow_patterns=[FILES],
            )
            self.private = bool(HfApi().dataset_info(repo).private)
            return scheduler


def _download(repo: str) -> dict[str, Path]:
    """Download a dataset's files of votes, by name."""
    with name_setting("VOTES_REPO", repo, "it must be there to be read"):
        folder = Path(snapshot_download(repo, repo_type="dataset", allow_patterns=[FILES]))
    return {path.name: path for path in folder.glob(FILES)}


def open_votes(settings: Settings) -> Votes | None:
    """Open the votes' folder, if the settings name one."""
    if settings.votes_dir is None:
        return None
    return Votes(Path(settings.votes_dir), settings.votes_repo)


def make_vote(ballot: Ballot, verdict: str, info: Info) -> dict:
    """Collect all that is kept of a vote, without who sent it."""
    return {
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "verdict": verdict,
        "question": remove_controls(ballot.question),
        "base_answer": ballot.answers["base"],
        "tuned_answer": ballot.answers["tuned"],
        "first": ballot.order[0],
        **ballot.options,
        **{name: info[name] for name in (*MODELS, "precision", "version")},
    }


def read_votes(path: Path) -> Iterator[dict]:
    """Read a file's votes, without lines that are cut or no vote."""
    *lines, _cut = path.read_bytes().split(b"\n")
    for line in lines:
        try:
            vote = json.loads(line)
        except ValueError:
            vote = None
        if _is_vote(vote):
            yield vote
        else:
            log.warning("%s has a line that is not a vote: %r", path.name, line[:80])


def _is_vote(vote) -> TypeGuard[dict]:
    if not isinstance(vote, dict) or vote.get("verdict") not in VERDICTS:
        return False
    return all(isinstance(vote.get(name), str | None) for name in MODELS)


def _key(vote: Mapping) -> tuple:
    """Return what votes are counted by: the two models and the verdict."""
    return (*(vote.get(name) for name in MODELS), vote["verdict"])


def current_address() -> str:
    """Find the address that the event at work comes from."""
    request = LocalContext.request.get(None)
    return read_address(request) if request else ""


@contextlib.contextmanager
def name_setting(variable: str, value, remedy: str) -> Iterator[None]:
    """Raise errors of the system and the Hub as a VotesError."""
    try:
        yield
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise VotesError(f"{variable} is {value}: {reason}; {remedy}") from error
