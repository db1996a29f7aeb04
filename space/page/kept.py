"""Keep a visitor's conversation, draft and settings in the browser's tab.

They are in the tab's sessionStorage, which survives a reload and a restart of the server, and which
no other tab writes to. What comes back from there is checked like any input.
"""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Sequence
from typing import Any, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

from space.model import Turn
from space.settings import TEMPERATURE_LIMIT, TOKEN_LIMIT
from space.texts import remove_controls

FORMAT = 1  # raised when a stored conversation changes: older ones are dropped
STORED_LIMIT = 300_000  # characters of a stored conversation, which fits in a request
TURN_LIMIT = 100
INTEGER_LIMIT = 2**53
PREFIX = f"shelftalk.{FORMAT}."  # of the keys in the browser
CONVERSATION, DRAFT, SETTINGS, TEXT = (
    PREFIX + name for name in ("conversation", "draft", "settings", "text")
)

# Stores a value under a key, or removes it where it is empty or there is no room.
STORE = """(value) => {
  try {
    value ? sessionStorage.setItem("%(key)s", value) : sessionStorage.removeItem("%(key)s");
  } catch {
    try { sessionStorage.removeItem("%(key)s"); } catch { /* the browser stores nothing */ }
  }
}"""
# The last question is a draft until it is answered.
STORE_CONVERSATION = """(value) => {
  (%(store)s)(value);
  try {
    const turns = JSON.parse(value || "{}").turns ?? [];
    const draft = sessionStorage.getItem("%(draft)s");
    if (draft && turns.at(-1)?.question === draft) sessionStorage.removeItem("%(draft)s");
  } catch { /* the browser stores nothing */ }
}"""
STORE_SETTINGS = """(...values) => { (%(store)s)(JSON.stringify(values)); }"""
# Returns what a tab has stored: the conversation twice, and the settings, or else those that the
# page begins with. Keys of older versions are removed. Drafts are the affair of page.js.
RECALL = """() => {
  const first = %(first)s;
  const read = (key) => { try { return sessionStorage.getItem(key) || ""; } catch { return ""; } };
  try {
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith("shelftalk.") && !key.startsWith("%(prefix)s")) sessionStorage.removeItem(key);
    }
  } catch { /* the browser stores nothing */ }
  let settings = first;
  try {
    const stored = JSON.parse(read("%(settings)s"));
    const [sources, tokens, temperature, seed] = stored;
    const within = (value, low, high) => typeof value === "number" && low <= value && value <= high;
    if (stored.length === first.length && typeof sources === "boolean"
      && within(tokens, 1, %(tokens)d) && tokens %% 1 === 0
      && within(temperature, 0, %(temperature)d) && /^\\d{0,19}$/.test(seed)) settings = stored;
  } catch { /* none, or forged */ }
  if (!%(catalogue)s) settings = [first[0], ...settings.slice(1)];
  const conversation = read("%(conversation)s");
  return [conversation, conversation, ...settings];
}"""  # noqa: E501
RECALL_TEXT = """() => {
  try { return sessionStorage.getItem("%(key)s") || ""; } catch { return ""; }
}"""


def store(key: str) -> str:
    """Write the script that stores a value under a key."""
    return STORE % {"key": key}


def store_conversation() -> str:
    """Write the script that stores a conversation and forgets its draft."""
    return STORE_CONVERSATION % {"store": store(CONVERSATION), "draft": DRAFT}


def store_settings() -> str:
    """Write the script that stores the settings."""
    return STORE_SETTINGS % {"store": store(SETTINGS)}


def recall(first: Sequence[bool | float | str], has_catalogue: bool) -> str:
    """Write the script that returns what a tab stored.

    `first` are the settings without any stored ones.
    """
    return RECALL % {
        "first": json.dumps(list(first)),
        "prefix": PREFIX,
        "settings": SETTINGS,
        "tokens": TOKEN_LIMIT,
        "temperature": TEMPERATURE_LIMIT,
        "catalogue": json.dumps(has_catalogue),
        "conversation": CONVERSATION,
    }


def recall_text() -> str:
    """Write the script that returns a tab's text to summarize."""
    return RECALL_TEXT % {"key": TEXT}


def pack(turns: Sequence[Turn]) -> str:
    """Write a conversation's newest turns, as many as may come back."""
    kept = list(turns[-TURN_LIMIT:])
    while kept:
        text = json.dumps({"format": FORMAT, "turns": kept}, ensure_ascii=False)
        if len(text) <= STORED_LIMIT:
            return text
        kept = kept[1:]
    return ""


def unpack(text: object) -> list[Turn]:
    """Read a conversation from a browser, or [] for anything else."""
    if not isinstance(text, str) or not 0 < len(text) <= STORED_LIMIT:
        return []
    try:
        stored = json.loads(text, parse_constant=_refuse)
        stored = _clean(stored)
    except (ValueError, RecursionError):
        return []
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        return []
    turns: Any = stored.get("turns")
    if not _fits(turns, list[Turn]) or len(turns) > TURN_LIMIT:
        return []
    for turn in turns:
        versions = turn.get("versions", [])
        nested = [version for version in versions if "versions" in version]
        if nested or not 0 <= turn.get("version", 0) < max(len(versions), 1):
            return []
    return turns


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _clean(value):
    """Remove control characters and lone surrogates from all strings."""
    if isinstance(value, str):
        return remove_controls(value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(one) for key, one in value.items()}
    return value


@functools.cache
def _fields(kind: type) -> dict:
    return get_type_hints(kind, include_extras=True)


def _fits(value, hint) -> bool:
    """Check a value of JSON against a type."""
    if is_typeddict(hint):
        fields = _fields(hint)
        if not isinstance(value, dict) or not value.keys() <= fields.keys():
            return False
        for name, kind in fields.items():
            optional = get_origin(kind) is NotRequired
            if name not in value:
                if not optional:
                    return False
            elif not _fits(value[name], get_args(kind)[0] if optional else kind):
                return False
        return True
    if get_origin(hint) is list:
        (inner,) = get_args(hint)
        return isinstance(value, list) and all(_fits(one, inner) for one in value)
    if isinstance(hint, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if hint in (int, float):
        number = isinstance(value, int if hint is int else int | float)
        small = number and abs(value) < INTEGER_LIMIT  # which NaN is not either
        return small and not isinstance(value, bool)
    return value is None if hint is type(None) else isinstance(value, hint)
