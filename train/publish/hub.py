"""Commits to the Hub that are safe to repeat, with retries and errors in plain words."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    DatasetInfo,
    HfApi,
    ModelInfo,
    SpaceHardware,
    SpaceInfo,
    get_session,
    set_client_factory,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    logging,
    parse_ratelimit_headers,
)

from space.settings import VERSION
from train.retry import LONGEST_PAUSE, TRANSIENT_STATUSES, GaveUp, Transient, retry, retry_after

TRIES = 6  # as many as the library makes by itself
PAUSE = 1.0  # seconds before the second try
SILENCE = 60.0  # seconds without a byte after which a connection is given up
CHECKPOINT = "checkpoint"  # the folder of a model repository with the newest checkpoint
PASSING = (*TRANSIENT_STATUSES, 409, 412)  # conflict: another commit or repository came first
# Requests that the library retries by itself; so does it with every PUT, a large file's bytes.
RETRIED_BY_LIBRARY = re.compile(r"/preupload/|/info/lfs/|/resolve/")
REMEDIES = {
    401: "it does not know you: log in with `hf auth login`, "
    "or set HF_TOKEN to a token that may write",
    402: "the account's plan does not allow it",
    403: "you may not write there: take a token with write access at "
    "https://huggingface.co/settings/tokens",
    404: "there is no such user or organisation, or you may not see it: check the name",
    413: "that is more than it takes; its limits are at https://huggingface.co/docs/hub/storage-limits",
}

RepoInfo = ModelInfo | DatasetInfo | SpaceInfo
Result = TypeVar("Result")


class HubError(Exception):
    """A request to the Hub failed; one line with the reason and the remedy, without a token."""


class IsPublic(HubError):
    """A repository that should be private is public; nothing was sent."""


@dataclass(frozen=True)
class Sent:
    """A repository and the commit that holds the files; `new` is False where they were there."""

    repo: str
    commit: str
    url: str
    new: bool


def hub_api() -> HfApi:
    """Return the Hub library's client, with an end to every wait."""
    _limit_waits()
    return HfApi(library_name="shelftalk", library_version=VERSION)


@functools.cache
def _limit_waits() -> None:
    # The library's HTTP client has no timeout, and its retries wait for as long as a server asks.
    hooks = get_session().event_hooks | {"response": [_refuse_lost_redirect, _refuse_long_wait]}
    set_client_factory(
        lambda: httpx2.Client(event_hooks=hooks, follow_redirects=True, timeout=SILENCE)
    )


def _refuse_lost_redirect(response: httpx2.Response) -> None:
    # The library takes such an answer for a good one, and misses what it does not hold.
    code = response.status_code
    if code in (301, 302, 303, 307, 308) and "Location" not in response.headers:
        raise ValueError(
            f"HTTP {code} {response.reason_phrase} that does not say where it moved: look whether "
            "a proxy answers in its place, and at HF_ENDPOINT if that is set"
        )


def _refuse_long_wait(response: httpx2.Response) -> None:
    if response.status_code in PASSING:
        busy = _busy(response)
        if (busy.wait or 0) > LONGEST_PAUSE:
            raise busy


def ask_hub(repo: str, request: Callable[[], Result], *, tries: int = TRIES) -> Result:
    """Make a request with retries, or raise HubError about the repository."""
    try:
        return retry(request, tries=tries, pause=PAUSE, transient=_worth_another_try)
    except GaveUp as error:
        raise HubError(f"{repo} on the Hub: {error}; tried {error.tries} times") from error
    except (httpx2.HTTPError, ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        raise HubError(f"{repo} on the Hub: {_describe(error, repo)}") from error


def repo_info(api: HfApi, repo: str, kind: str, revision: str | None = None) -> RepoInfo:
    """Ask for a repository's commit, files and visibility."""
    # The library passes its own timeout here, none, if it is not given one.
    info = api.repo_info(repo, repo_type=kind, revision=revision, timeout=SILENCE)
    return cast(RepoInfo, info)


def ensure_repo(
    api: HfApi, repo: str, kind: str, private: bool, hardware: str | None = None
) -> RepoInfo:
    """Create a repository where there is none.

    Raises IsPublic where it should be private and is not.
    """
    try:
        info = repo_info(api, repo, kind)
    except RepositoryNotFoundError:
        api.create_repo(
            repo,
            repo_type=kind,
            private=private or None,
            space_sdk="gradio" if kind == "space" else None,
            space_hardware=cast(SpaceHardware, hardware),
        )
        info = repo_info(api, repo, kind)
    if private and not info.private:
        raise IsPublic(
            f"{repo} on the Hub is public, and this was to stay private: "
            "make it private in its settings"
        )
    return info


def send(
    files: Mapping[str, Path | bytes],
    repo: str,
    kind: str = "model",
    *,
    message: str,
    private: bool = False,
    progress: bool = True,
    owned: Sequence[str] = (),
) -> Sent:
    """Commit {path in the repository: file} on top of what it holds.

    A repository is created where there is none. `kind` is "model", "dataset" or "space"
    (Gradio). Other files stay, except those in the folders `owned`, where only sent files stay.
    Unchanged files make no commit, so a second call is safe. Two calls at once both succeed,
    one on top of the other. With `private` nothing goes to a public repository. Raises
    HubError.
    """
    api, first_head = hub_api(), None

    def attempt() -> Sent:
        nonlocal first_head
        info = ensure_repo(api, repo, kind, private)
        first_head = first_head or info.sha
        # A new commit needs new operations: these remember what the repository held.
        additions = [CommitOperationAdd(path, content) for path, content in files.items()]
        outdated = [
            CommitOperationDelete(file.rfilename)
            for file in info.siblings or ()
            if file.rfilename.partition("/")[0] in owned and file.rfilename not in files
        ]
        # On its parent alone: a commit that came between would mix its files with ours.
        made = api.create_commit(
            repo,
            [*additions, *outdated],
            commit_message=message,
            repo_type=kind,
            parent_commit=info.sha,
        )
        # A later try may find the commit of an earlier one whose answer was lost.
        return Sent(repo, made.oid, made.commit_url, made.oid != first_head)

    with _library_output(progress):
        return ask_hub(repo, attempt)


@contextlib.contextmanager
def _library_output(progress: bool) -> Iterator[None]:
    """Show the library's progress bars or not, and none of its warnings."""
    disabled, level = are_progress_bars_disabled(), logging.get_verbosity()
    logging.set_verbosity_error()
    (enable_progress_bars if progress else disable_progress_bars)()
    try:
        yield
    finally:
        (disable_progress_bars if disabled else enable_progress_bars)()
        logging.set_verbosity(level)


# --- errors ---


def _worth_another_try(error: Exception) -> Transient | None:
    cause = _root(error)
    if isinstance(cause, HfHubHTTPError | httpx2.TransportError):
        refused = isinstance(cause, HfHubHTTPError)
        request = cause.response.request if refused else cause.request
        status = cause.response.status_code if refused else None
        retried = request.method == "PUT" or RETRIED_BY_LIBRARY.search(request.url.path)
        if retried and status not in (409, 412, 425):  # these are left to the caller
            return None
    return _transient(cause)


def _transient(cause: BaseException) -> Transient | None:
    if isinstance(cause, Transient):
        return cause
    if isinstance(cause, HfHubHTTPError):
        return _busy(cause.response) if cause.response.status_code in PASSING else None
    if isinstance(cause, httpx2.TimeoutException):
        return Transient(f"no answer for {SILENCE:,.0f} s")
    if isinstance(cause, httpx2.TransportError):
        return Transient(f"the connection broke, {type(cause).__name__}")
    if isinstance(cause, json.JSONDecodeError):
        return Transient("its answer is not JSON")
    # hf_xet, which sends large files, raises no more specific error.
    lost = isinstance(cause, RuntimeError | ConnectionError | TimeoutError)
    if lost and not isinstance(cause, OfflineModeIsEnabled):
        return Transient(f"the upload broke, {redacted(str(cause))}")
    return None


def _busy(response: httpx2.Response) -> Transient:
    wait, limit = retry_after(response.headers), parse_ratelimit_headers(response.headers)
    if wait is None and limit and not limit.remaining:
        wait = float(limit.reset_in_seconds)
    return Transient(f"HTTP {response.status_code} {response.reason_phrase}", wait)


def _root(error: BaseException) -> BaseException:
    """Find the error below those that only name the file."""
    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    return error


def _describe(error: Exception, repo: str) -> str:
    cause = _root(error)
    transient = _transient(cause)
    if transient:  # the library has tried it again
        return f"{transient}; tried {TRIES} times"
    if isinstance(cause, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set: unset it"
    if isinstance(cause, GatedRepoError):
        status = cause.response.status_code
        return f"HTTP {status}, it is gated: ask for access at https://huggingface.co/{repo}"
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code
        answer = f" ({redacted(cause.server_message)})" if cause.server_message else ""
        return f"HTTP {status}{answer}: {REMEDIES.get(status, 'see what it says on its page')}"
    return redacted(str(cause))


def redacted(text: str) -> str:
    """Shorten a text to one line of 200 characters, without a token."""
    return re.sub(r"hf_\w+", "hf_...", " ".join(text.split()))[:200]
