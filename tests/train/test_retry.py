"""Retries: what is tried again, how long it waits, and when it gives up."""

import email.utils
import time

import pytest

from train import retry as retrying
from train.retry import GaveUp, Transient, retry, retry_after


@pytest.fixture
def pauses(monkeypatch):
    """The pauses in seconds; none is made."""
    made = []
    monkeypatch.setattr(retrying.time, "sleep", made.append)
    return made


def failing(*failures, result="done"):
    """An attempt that raises these errors in turn and then succeeds."""
    waiting = list(failures)

    def attempt():
        if waiting:
            raise waiting.pop(0)
        return result

    return attempt


def test_the_pause_doubles_after_each_failure(pauses):
    busy = Transient("HTTP 503")
    assert retry(failing(busy, busy, busy), tries=4, pause=2.0) == "done"
    assert pauses == [2.0, 4.0, 8.0]


def test_the_last_failure_is_given_up(pauses):
    busy = Transient("HTTP 503")
    with pytest.raises(GaveUp, match=r"^HTTP 503$") as caught:
        retry(failing(busy, busy, busy), tries=3, pause=1.0)
    assert caught.value.tries == 3 and pauses == [1.0, 2.0]
    assert caught.value.__context__ is None and caught.value.__cause__ is None


def test_a_server_says_how_long_to_wait(pauses):
    assert retry(failing(Transient("busy", 7), Transient("busy", 0)), tries=3, pause=1.0) == "done"
    assert pauses == [7, 0]


def test_a_wait_that_is_too_long_is_given_up(pauses):
    with pytest.raises(GaveUp, match="busy, it asks to wait 4,000 s"):
        retry(failing(Transient("busy", 4000)), tries=9, pause=1.0)
    assert pauses == []


def test_an_error_that_will_not_pass_is_raised_as_it_is(pauses):
    with pytest.raises(KeyError):
        retry(failing(KeyError("a bug")), tries=9, pause=1.0)
    assert pauses == []


def test_a_library_s_error_may_be_one_that_passes(pauses):
    def transient(error):
        return Transient("the connection broke") if isinstance(error, OSError) else None

    assert retry(failing(OSError()), tries=2, pause=1.0, transient=transient) == "done"
    with pytest.raises(GaveUp, match="the connection broke"):
        retry(failing(OSError(), OSError()), tries=2, pause=1.0, transient=transient)


def test_progress_starts_the_count_anew(pauses):
    busy, received, told = Transient("cut"), [0], []
    finish = failing(busy, busy, busy)
    sizes = iter([9, 19, 20, 30])

    def attempt():
        received[0] = next(sizes)
        return finish()

    options = {"progress": lambda: received[0], "enough": 10, "notify": told.append}
    assert retry(attempt, tries=2, pause=1.0, **options) == "done"
    assert pauses == [1.0, 0.0, 1.0] and told == ["cut; trying again in 1 s"] * 2


@pytest.mark.parametrize(
    ("value", "seconds"), [("120", 120.0), (" 0 ", 0.0), ("", None), ("soon", None), ("-1", None)]
)
def test_retry_after_in_seconds(value, seconds):
    assert retry_after({"Retry-After": value}) == seconds


def test_retry_after_as_a_date():
    assert 50 < retry_after({"Retry-After": email.utils.formatdate(time.time() + 60)}) <= 60
    assert retry_after({"Retry-After": "Tue, 02 Jan 2024 00:00:00 GMT"}) == 0
    assert retry_after({}) is None
