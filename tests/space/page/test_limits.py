"""space/page/limits.py: what one visitor may ask for in a minute."""

import pytest
from gradio import Request
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from space.errors import InputError
from space.page.limits import SESSIONS, VISITORS, Limits, read_address
from space.settings import Settings, SettingsError, trust_proxies


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def visitor(session="s", host="203.0.113.5"):
    return Request(session_hash=session, client={"host": host, "port": 4000})


@pytest.fixture
def clock():
    return Clock()


def limits(clock, **settings):
    return Limits(Settings(**settings), clock)


def test_a_visitor_has_so_many_requests_and_more_with_time(clock):
    limited = limits(clock, requests_per_minute=6)
    for _ in range(6):
        limited.take(visitor(), 10)
    with pytest.raises(InputError, match=r"again in 10 seconds") as refused:
        limited.take(visitor(), 10)
    assert refused.value.key == "too_often"
    clock.now = 10.0
    limited.take(visitor(), 10)
    with pytest.raises(InputError):
        limited.take(visitor(), 10)
    limited.take(visitor("another", "198.51.100.7"), 10)


def test_a_refused_call_takes_nothing(clock):
    limited = limits(clock, requests_per_minute=2, tokens_per_minute=100)
    limited.take(visitor(), 100)
    for _ in range(5):
        with pytest.raises(InputError):
            limited.take(visitor(), 100)
    clock.now = 60.0
    limited.take(visitor(), 100)


def test_new_sessions_do_not_help_an_address(clock):
    limited = limits(clock, requests_per_minute=2)
    for number in range(2 * SESSIONS):
        limited.take(visitor(f"s{number}"), 1)
    with pytest.raises(InputError):
        limited.take(visitor("one more"), 1)
    limited.take(visitor("one more", "198.51.100.7"), 1)


def test_tokens_are_taken_and_what_was_not_written_comes_back(clock):
    limited = limits(clock, tokens_per_minute=100)
    settle = limited.take(visitor(), 80)
    with pytest.raises(InputError, match="36 seconds"):
        limited.take(visitor(), 80)
    settle(5)
    limited.take(visitor(), 80)
    # An answer may be longer than what a minute allows; it then takes all of it.
    clock.now = 60.0
    settle = limited.take(visitor(), 2048)
    with pytest.raises(InputError):
        limited.take(visitor(), 1)
    settle(90)
    limited.take(visitor(), 10)
    with pytest.raises(InputError):
        limited.take(visitor(), 1)


def test_without_limits_and_within_the_process_nobody_is_counted(clock):
    free = limits(clock)
    limited = limits(clock, requests_per_minute=1)
    for _ in range(50):
        free.take(visitor(), 100)
        limited.take(None, 100)
    assert not free._buckets and not limited._buckets


def test_a_spaces_own_calls_are_free_and_those_of_the_same_machine_elsewhere_are_not(clock):
    space = limits(clock, requests_per_minute=1, on_space=True)
    for host in ("127.0.0.1", "::1", "127.0.0.1"):
        space.take(visitor(host=host), 1)
    home = limits(clock, requests_per_minute=1)
    home.take(visitor(host="127.0.0.1"), 1)
    with pytest.raises(InputError):
        home.take(visitor(host="127.0.0.1"), 1)


def test_memory_is_bounded(clock):
    limited = limits(clock, requests_per_minute=1, tokens_per_minute=1)
    for number in range(2 * VISITORS):
        limited.take(
            visitor(f"s{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), 1
        )
    assert len(limited._buckets) <= 4 * VISITORS


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_address_is_a_household(host, address):
    assert read_address(visitor(host=host)) == address


async def forwarded(trusted: dict[str, str], peer: str, header: str) -> str:
    """The address that uvicorn hands on for a peer that sends X-Forwarded-For."""
    found = {}

    async def app(scope, receive, send):
        found["client"] = scope["client"][0]

    # As uvicorn.Config does it.
    allowed = trusted.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
    scope = {
        "type": "http",
        "client": (peer, 4000),
        "headers": [(b"x-forwarded-for", header.encode())],
    }
    await ProxyHeadersMiddleware(app, trusted_hosts=allowed)(scope, None, None)
    return found["client"]


@pytest.mark.parametrize(
    ("proxies", "peer", "header", "address"),
    [
        ("", "127.0.0.1", "1.2.3.4", "127.0.0.1"),
        ("", "203.0.113.5", "1.2.3.4", "203.0.113.5"),
        ("10.0.0.0/8", "203.0.113.5", "1.2.3.4", "203.0.113.5"),
        ("10.0.0.0/8", "10.1.2.3", "198.51.100.7", "198.51.100.7"),
        # What the visitor wrote himself stands further left than what the proxy added.
        ("10.0.0.0/8", "10.1.2.3", "1.2.3.4, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.0/8, 127.0.0.1", "127.0.0.1", "198.51.100.7, 10.9.9.9", "198.51.100.7"),
    ],
)
def test_only_a_trusted_proxy_says_whom_it_forwards(proxies, peer, header, address):
    import asyncio

    environ = {}
    trust_proxies(Settings.from_environment({"TRUSTED_PROXIES": proxies}), environ)
    assert asyncio.run(forwarded(environ, peer, header)) == address


def test_what_uvicorn_was_told_by_hand_stays():
    environ = {"FORWARDED_ALLOW_IPS": "192.0.2.1"}
    trust_proxies(Settings(), environ)
    assert environ == {"FORWARDED_ALLOW_IPS": "192.0.2.1"}


def test_wrong_settings_are_named():
    with pytest.raises(SettingsError) as wrong:
        Settings.from_environment(
            {"TRUSTED_PROXIES": "10.0.0.1,proxy", "METRICS": "yes", "REQUESTS_PER_MINUTE": "-1"}
        )
    for part in ("'proxy'", "METRICS is 'yes'", "REQUESTS_PER_MINUTE is -1"):
        assert part in str(wrong.value)
    settings = Settings.from_environment({"METRICS": "on", "REQUESTS_PER_MINUTE": "0"})
    assert settings.metrics and settings.requests_per_minute == 0
