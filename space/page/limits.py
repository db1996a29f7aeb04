"""Limit what one visitor may ask for in a minute, by session and by address."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from gradio import Request

from space.errors import InputError
from space.settings import Settings

MINUTE = 60.0  # seconds
# Several people may share an address, behind a router. A caller may name a new session each time,
# but not a new address.
SESSIONS = 4  # whose limits one address has together
VISITORS = 10_000  # that are remembered; those that asked longest ago are forgotten
NETWORK = 64  # bits of an IPv6 address that one household has for itself


@dataclass
class Bucket:
    """What a visitor has left: it fills up within a minute."""

    left: float
    filled: float  # when, by the clock

    def fill(self, size: float, now: float) -> None:
        self.left = min(size, self.left + (now - self.filled) * size / MINUTE)
        self.filled = now


class Limits:
    """Requests and tokens a minute of each visitor."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests, self.tokens = settings.requests_per_minute, settings.tokens_per_minute
        self.on_space = settings.on_space
        self._clock, self._lock = clock, threading.Lock()
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def take(self, request: Request | None, tokens: int) -> Callable[[int], None]:
        """Take one request and so many tokens, or raise InputError.

        Returns a function that is told how many were written, and gives the others back.
        """
        visitor = self._names(request)
        # A visitor who may write fewer tokens than an answer's limit may still ask.
        tokens = min(tokens, self.tokens)
        with self._lock:
            now = self._clock()
            wanted: list[tuple[Bucket, float]] = []
            wait = 0.0
            for name, share in visitor.items():
                for kind, limit, cost in (
                    ("requests", self.requests * share, 1),
                    ("tokens", self.tokens * share, tokens),
                ):
                    if not limit:
                        continue
                    bucket = self._bucket((kind, name), limit, now)
                    wait = max(wait, (cost - bucket.left) * MINUTE / limit)
                    wanted.append((bucket, cost))
            if wait > 0:
                raise InputError("too_often", seconds=math.ceil(wait))
            for bucket, cost in wanted:
                bucket.left -= cost
        return lambda written: self._give_back(visitor, max(0, tokens - written))

    def _names(self, request: Request | None) -> dict[str, int]:
        """Name a visitor's session and address, each with its share.

        There are none for calls within this process, nor for a Space's own calls to itself.
        """
        if request is None or not (self.requests or self.tokens):
            return {}
        address = read_address(request)
        if self.on_space and is_own(address):
            return {}
        names = {f"address {address}": SESSIONS}
        if request.session_hash:
            names[f"session {request.session_hash}"] = 1
        return names

    def _bucket(self, key: tuple[str, str], size: float, now: float) -> Bucket:
        bucket = self._buckets.pop(key, None) or Bucket(size, now)
        bucket.fill(size, now)
        self._buckets[key] = bucket
        while len(self._buckets) > 4 * VISITORS:  # two names of a visitor, two kinds of limit
            self._buckets.popitem(last=False)
        return bucket

    def _give_back(self, visitor: dict[str, int], tokens: int) -> None:
        with self._lock:
            for name, share in visitor.items():
                bucket = self._buckets.get(("tokens", name))
                if bucket is not None:
                    bucket.left = min(self.tokens * share, bucket.left + tokens)


def read_address(request: Request) -> str:
    """Read a caller's address, or its network in IPv6.

    uvicorn has replaced a trusted proxy's address by that of its caller.
    """
    host = str(getattr(request.client, "host", "") or "")
    try:
        address = ip_address(host)
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped:
        return str(mapped or address)
    return str(ip_network((address, NETWORK), strict=False))


def is_own(address: str) -> bool:
    """Check whether a call comes from this machine."""
    return address == "::/64" or address.startswith("127.")
