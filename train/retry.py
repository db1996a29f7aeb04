"""Retries with exponential backoff, for downloads and uploads."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

# A busy server; a caller may add others, such as 409 where another commit came first.
TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
LONGEST_PAUSE = 300.0  # seconds

Result = TypeVar("Result")


class Transient(Exception):
    """A failure that may pass; `wait` is how many seconds the server asks to wait."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class GaveUp(Exception):
    """The last try failed, or the server asks for a wait above LONGEST_PAUSE."""

    def __init__(self, error: Transient, tries: int) -> None:
        asked = f", it asks to wait {error.wait:,.0f} s" if error.wait else ""
        super().__init__(f"{error}{asked}")
        self.tries = tries


def only_transient(error: Exception) -> Transient | None:
    """Let nothing pass but what is raised as Transient."""
    return error if isinstance(error, Transient) else None


def retry(
    attempt: Callable[[], Result],
    *,
    tries: int,
    pause: float,
    transient: Callable[[Exception], Transient | None] = only_transient,
    progress: Callable[[], int] = lambda: 0,
    enough: int = 1,
    notify: Callable[[str], object] = lambda message: None,
) -> Result:
    """Call `attempt` until it succeeds.

    Raise GaveUp after `tries` failures in a row. `pause` is in seconds and doubles after each
    failure; a server's own wait goes before it. `transient` returns None for an error that will
    not pass, and that error is raised as it is. A try that raises `progress`, such as the bytes
    received, by `enough` starts the count anew. `notify` is told why and how long there is a
    pause.
    """
    failures = made = 0
    while True:
        made, before = made + 1, progress()
        try:
            return attempt()
        except Exception as error:
            failure = transient(error)
            if failure is None:
                raise
        failures = 0 if progress() >= before + enough else failures + 1
        backoff = pause * 2 ** (failures - 1) if failures else 0.0
        seconds = backoff if failure.wait is None else failure.wait
        # Raised outside of the handler: the error itself may hold an address with a token.
        if failures >= tries or seconds > LONGEST_PAUSE:
            raise GaveUp(failure, made)
        if seconds:
            notify(f"{failure}; trying again in {seconds:g} s")
        time.sleep(seconds)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read a Retry-After header, seconds or a date, in seconds from now."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - time.time())
