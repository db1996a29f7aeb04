"""What an answer is judged by: each set's measures, which way is better, and those of one answer that need no library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher

from space.catalogue import normalise

# What a set is for comes first; then what a gain there could hide.
JUDGED = {
    "seen": ("rougeL", "supported", "invented_numbers"),
    "unseen": ("rougeL", "invented_numbers", "invented_names"),
    "grounded": ("rougeL", "source_right", "supported", "says_absent"),
    "absent": ("says_absent",),
    "summary": ("rougeL", "supported", "invented_numbers"),
}
LESS_IS_BETTER = frozenset(
    ("loss", "perplexity", "invented_numbers", "invented_names", "contradicted", "repetition")
)
NEITHER = frozenset(
    ("length_ratio", "copied_run")
)  # no number of them is better than another by itself
SPELLED_ALIKE = 0.8  # of the letters of two titles, from which on one is the other misspelled


def less_is_better(name: str, metric: str) -> bool | None:
    """Whether less of a metric is better in a set; None where neither more nor less is."""
    if metric in NEITHER:
        return None
    return metric in LESS_IS_BETTER or (metric == "says_absent" and name != "absent")


def interval_shows(low: float | None, high: float | None) -> bool:
    """Whether a difference is more than chance may have made: its interval does not hold zero."""
    return low is not None and high is not None and (low > 0 or high < 0)  # of NaN, nothing is


def rouge_l(said: str, reference: str) -> float:
    """Returns ROUGE-L (Lin 2004) as rouge_score has it without stemming: words of a to z and 0 to 9, the mean F, 0 to 1."""
    ours, theirs = (re.findall(r"[a-z0-9]+", text.lower()) for text in (said, reference))
    shared = common(ours, theirs)
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


def common(one: list[str], other: list[str]) -> int:
    """Returns the length of the longest common subsequence, a row of bits at a time (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & full
    return len(one) - row.bit_count()


def says_absent(said: str, title: str, absent: Mapping[str, str]) -> bool:
    """Returns whether `said` holds a sentence of `absent`, with `title` in it, perhaps misspelled, where it has one."""
    words, asked = _words(said), _words(title)
    for sentence in absent.values():
        if "{title}" not in sentence and f" {_words(sentence)} " in f" {words} ":
            return True
    for sentence in (sentence for sentence in absent.values() if "{title}" in sentence):
        before, after = (_words(part) for part in sentence.split("{title}", 1))
        _, found, rest = f" {words} ".partition(f" {before} " if before else " ")
        named, end, _ = rest.partition(f" {after} ") if after else (rest[: len(asked)], " ", "")
        # Where the title comes first, other words may stand before it.
        named = named.strip() if before else named[-len(asked) :]
        if found and end and SequenceMatcher(None, named, asked).ratio() >= SPELLED_ALIKE:
            return True
    return False


def _words(text: str) -> str:
    return " ".join(
        re.findall(r"\w+", normalise(text))
    )  # normalise() leaves a lone full stop as it is
