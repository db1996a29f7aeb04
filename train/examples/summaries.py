"""Summaries to learn from: one that came with its text, or else a text's own principal sentences."""

from __future__ import annotations

import re
from collections import Counter

from space.catalogue import sentence_spans, split_sentences
from space.errors import InputError

FEWEST = 4  # sentences; of a shorter text nothing can be taken out


def principal(text: str) -> tuple[str, str] | None:
    """Returns (the text without its principal sentences, those sentences), or None for a text of under four.

    A sentence is principal when it says most of what the others say: the F-measure of its words against the words of
    all other sentences (gap-sentence selection, "Ind-Uniq" in PEGASUS, Zhang et al. 2020, section 3.1). One sentence
    of a text of up to seven is taken, two of a longer one.
    """
    parts = split_sentences(text)
    if len(parts) < FEWEST:
        return None
    best = _ranked(parts)[: 1 if len(parts) < 8 else 2]
    taken = " ".join(parts[index] for index in sorted(best))
    return " ".join(part for index, part in enumerate(parts) if index not in best), taken


def summed_up(maker, record: dict) -> tuple[str, str] | None:
    """Returns (text, summary) of a pair or of a record; None where there is none. `maker` is an Examples.

    A pair's text is cut where serving would cut it. A record's principal sentences are left out where they are the longer part.
    A long summary is cut at a sentence.
    """
    if "summary" not in record:
        split = principal(record["content"])
        if split is None or len(split[1]) > len(split[0]):
            return None
        text, summary = split
    else:
        text, summary = record["content"], record["summary"]
        try:
            text = text[: len(text) - maker.prompt("summarize", text).cut]
        except InputError:
            return None
    return text, lead(summary, maker.tokenizer, maker.tokens)


def main_sentence(text: str) -> str:
    """Returns the one sentence that says most of what the others say, see principal(); of a short text the first."""
    parts = split_sentences(text)
    return parts[_ranked(parts)[0] if len(parts) >= FEWEST else 0] if parts else text.strip()


def _ranked(parts: list[str]) -> list[int]:
    """Returns the places of the sentences, the most principal first."""
    words = [set(re.findall(r"\w+", part.lower())) for part in parts]
    seen_in = Counter(word for part in words for word in part)

    def score(index: int) -> float:
        own = words[index]
        rest = sum(1 for word in seen_in if seen_in[word] > (word in own))
        shared = sum(1 for word in own if seen_in[word] > 1)
        return 2 * shared / max(1, len(own) + rest)

    return sorted(range(len(parts)), key=score, reverse=True)


def lead(text: str, tokenizer, tokens: int) -> str:
    """Returns the first whole sentences of `text` that fit in `tokens` tokens; of a longer first one, its beginning."""
    ends = [
        end
        for _, end in tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[
            "offset_mapping"
        ]
    ]
    if len(ends) <= tokens:
        return text
    fits = ends[tokens - 1]
    whole = [end for _, end in sentence_spans(text) if end <= fits]
    return text[: whole[-1]] if whole else text[:fits].rsplit(None, 1)[0]
