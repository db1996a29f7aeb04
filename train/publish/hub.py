"""Files -> one commit on the Hub: safe to repeat, tried again while that may help, and told in words where it does not."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
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

TRIES, PAUSE, LONGEST_PAUSE = (
    6,
    1.0,
    300.0,
)  # seconds before the second try, twice as many before each after it; the most
CHECKPOINT = "checkpoint"  # the folder of a model's repository that holds the newest checkpoint while it is trained
LIBRARY = "shelftalk"  # who asks, as the Hub is told
SILENCE = 60.0  # seconds without a byte after which a connection is given up
# What may be over soon: a busy Hub, and another's commit or repository that came first.
PASSING = (408, 409, 412, 425, 429, 500, 502, 503, 504)
REMEDIES = {
    401: "it does not know you: log in with `hf auth login`, or set HF_TOKEN to a token that may write",
    402: "the account's plan does not allow it",
    403: "you may not write there: take a token with write access at https://huggingface.co/settings/tokens",
    404: "there is no such user or organisation, or you may not see it: check the name",
    413: "that is more than it takes; its limits are at https://huggingface.co/docs/hub/storage-limits",
}


class HubError(Exception):
    """What was to be sent is not on the Hub; one line that says why and what to do. What is on disk is untouched."""


class IsPublic(HubError):
    """Everyone could read what was to stay private; nothing was sent."""


class Again(httpx2.TransportError):
    """A try broke off in a way that may pass; `wait` is how long the Hub asks to wait, in seconds."""

    def __init__(self, words: str, wait: float | None = None) -> None:
        super().__init__(words)
        self.wait = wait


class Client(httpx2.Client):
    """The Hub library's HTTP client; what send() asks has an end to every silence and one count of tries, send()'s.

    The library would wait for ever, and would itself repeat some requests and not others. All other requests are left to it.
    """

    def send(self, request: httpx2.Request, **options) -> httpx2.Response:
        """Returns the answer; raises Again where a request of send() may fare better later."""
        # A large file's bytes go to a storage that is not told who sends them.
        bytes_alone = request.method == "PUT" and "authorization" not in request.headers
        if not bytes_alone and not request.headers.get("user-agent", "").startswith(f"{LIBRARY}/"):
            return super().send(request, **options)
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), SILENCE)
        try:
            response = super().send(request, **options)
        except httpx2.TimeoutException as error:
            raise Again(f"no answer for {SILENCE:,.0f} s") from error
        except httpx2.TransportError as error:
            raise Again(f"the connection broke, {type(error).__name__}") from error
        if response.status_code in PASSING:
            raise busy(response)
        return response


HOOKS = get_session().event_hooks  # the library's own
set_client_factory(lambda: Client(event_hooks=HOOKS, follow_redirects=True, timeout=None))


@dataclass(frozen=True)
class Sent:
    """A repository and the commit at which it holds what was sent; `new` is False where it held it before."""

    repo: str
    commit: str
    url: str
    new: bool


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
    """Makes {path in the repository: file} one commit on top of what the repository holds, and makes the repository first.

    `kind` is "model", "dataset" or "space" (Gradio). Other files there stay, but for those in the folders `owned`, in which
    nothing stays that is not sent; unchanged content makes no commit, so that a second call is safe; two calls at once both
    end, one on top of the other. With `private` nothing goes to a public repository. Raises HubError, without a token in it.
    """
    before: list[str] = []
    for attempt in itertools.count(1):
        try:
            return _try(files, repo, kind, message, private, progress, owned, before)
        except (httpx2.HTTPError, ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
            again = passing(error)
            if again is None:
                raise HubError(f"{repo} on the Hub: {words(error, repo)}") from error
        pause = PAUSE * 2 ** (attempt - 1) if again.wait is None else again.wait
        if attempt == TRIES or pause > LONGEST_PAUSE:
            asked = f", it asks to wait {again.wait:,.0f} s" if again.wait else ""
            raise HubError(f"{repo} on the Hub: {again}{asked}; tried {attempt} times") from again
        time.sleep(pause)


def _try(
    files: Mapping[str, Path | bytes],
    repo: str,
    kind: str,
    message: str,
    private: bool,
    progress: bool,
    owned: Sequence[str],
    before: list[str],
) -> Sent:
    """Sends once. `before` keeps the commit at the first try: a later try may find what an earlier one brought there."""
    api = HfApi(library_name=LIBRARY, library_version=VERSION)
    try:
        info = api.repo_info(repo, repo_type=kind)
    except RepositoryNotFoundError:
        api.create_repo(
            repo,
            repo_type=kind,
            private=private or None,
            space_sdk="gradio" if kind == "space" else None,
        )
        info = api.repo_info(repo, repo_type=kind)
    if private and not info.private:
        raise IsPublic(
            f"{repo} on the Hub is public, and this was to stay private: make it private in its settings"
        )
    before.append(info.sha)
    there = [file.rfilename for file in info.siblings or ()]
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    operations += [
        CommitOperationDelete(path)
        for path in there
        if path.partition("/")[0] in owned and path not in files
    ]
    with quiet(progress):
        # On its parent alone: a commit that came between would mix its files with ours.
        made = api.create_commit(
            repo, operations, commit_message=message, repo_type=kind, parent_commit=info.sha
        )
    return Sent(repo, made.oid, made.commit_url, made.oid != before[0])


@contextlib.contextmanager
def quiet(progress: bool) -> Iterator[None]:
    """The library shows bars or not, and no warnings: what matters is an error of ours."""
    silent, level = are_progress_bars_disabled(), logging.get_verbosity()
    logging.set_verbosity_error()
    (enable_progress_bars if progress else disable_progress_bars)()
    try:
        yield
    finally:
        (disable_progress_bars if silent else enable_progress_bars)()
        logging.set_verbosity(level)


# --- what went wrong -------------------------------------------------------------------------------------------------


def busy(response: httpx2.Response) -> Again:
    """Returns what an answer that may pass is called, and how long it asks to wait."""
    limit, header = (
        parse_ratelimit_headers(response.headers),
        response.headers.get("Retry-After", ""),
    )
    wait = (
        float(header)
        if header.isdigit()
        else limit.reset_in_seconds
        if limit and not limit.remaining
        else None
    )
    return Again(f"HTTP {response.status_code} {response.reason_phrase}", wait)


def passing(error: Exception) -> Again | None:
    """Returns what may be over soon, or None for an error that will not pass."""
    cause = root(error)
    if isinstance(cause, Again):
        return cause
    # The library's faster way to send large files is not Python, and says no more than this.
    lost = isinstance(cause, (RuntimeError, ConnectionError, TimeoutError)) and not isinstance(
        cause, OfflineModeIsEnabled
    )
    return Again(f"the upload broke, {redacted(str(cause))}") if lost else None


def root(error: Exception) -> BaseException:
    """Returns the error below those that only say which file it was."""
    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    return error


def words(error: Exception, repo: str) -> str:
    """Returns an error that will not pass in one line, with its remedy."""
    cause = root(error)
    if isinstance(cause, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set: unset it"
    if isinstance(cause, GatedRepoError):
        return f"HTTP {cause.response.status_code}, it is gated: ask for access at https://huggingface.co/{repo}"
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code
        said = f" ({redacted(cause.server_message)})" if cause.server_message else ""
        return f"HTTP {status}{said}: {REMEDIES.get(status, 'see what it says on its page')}"
    return redacted(str(cause))


def redacted(text: str) -> str:
    """Returns a text as one line of up to 200 characters, without a token."""
    return re.sub(r"hf_\w+", "hf_...", " ".join(text.split()))[:200]
