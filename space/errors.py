"""Named errors of the runtime, and the Hub's and the libraries' errors as one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from space.texts import words


class InputError(ValueError):
    """A person's input cannot be answered.

    `key` and `values` make its message with space/texts.py in any language; str() is English.
    """

    def __init__(self, key: str, **values) -> None:
        super().__init__(words(key, **values))
        self.key, self.values = key, values


class ModelError(Exception):
    """A base or an adapter cannot be loaded, or they do not belong together."""


class PromptTemplateError(ValueError):
    """An adapter's prompt.json cannot be used."""


class CatalogueError(Exception):
    """A catalogue cannot be served.

    The message is for a person.
    """


LOAD_MESSAGES = {
    "gated": "{what} {name} is gated: accept its licence at {url} and set HF_TOKEN to your token",
    "revision": "{what} {name} has no such revision on the Hub; see {url}/commits/main",
    "absent": "{what} {name} is neither a folder here nor a repository on the Hub that you may "
    "read: check the spelling, or set HF_TOKEN where it is private",
    "pieces": "{what} {name} comes as a SentencePiece or tiktoken file alone: "
    "pip install sentencepiece protobuf, or tiktoken",
    "code": "{what} {name} brings code of its own, which is never run here: use one that "
    "transformers reads by itself",
    "other": "{what} {name} cannot be loaded: {reason}",
}


@contextlib.contextmanager
def translate_load_errors(
    what: str, name: str, error_type: type[Exception] = ModelError
) -> Iterator[None]:
    """Turn what loading `name` raises into an `error_type` of one line.

    Libraries raise errors of any type for a broken file, some of them a bare Exception.
    """
    try:
        yield
    except (ModelError, PromptTemplateError, CatalogueError):
        raise
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        message = LOAD_MESSAGES[classify_load_error(error)].format(
            what=what,
            name=name,
            url=hub_url(name, dataset=what == "catalogue"),
            reason=lines[0] if lines else type(error).__name__,
        )
        raise error_type(message) from error


def classify_load_error(error: BaseException) -> str:
    """Find why something could not be loaded, as a key of LOAD_MESSAGES."""
    # Imported here, since the processes that clean a catalogue need no Hub client.
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    text = "\n".join(map(str, causes))

    def raised(error_type: type[Exception]) -> bool:
        return any(isinstance(cause, error_type) for cause in causes)

    # A GatedRepoError is also a RepositoryNotFoundError.
    if raised(GatedRepoError) or "access a gated repo" in text:
        return "gated"
    if raised(RevisionNotFoundError):
        return "revision"
    if raised(RepositoryNotFoundError) or "valid model identifier" in text:
        return "absent"
    if "trust_remote_code" in text:
        return "code"
    if "`tiktoken` is required" in text:
        return "pieces"
    return "other"


def hub_url(name: str, *, dataset: bool = False) -> str:
    """Build the URL of a repository's page on the Hub."""
    return f"https://huggingface.co/{'datasets/' if dataset else ''}{name}"
