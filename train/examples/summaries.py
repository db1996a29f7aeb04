"""Parts of a text: its principal sentences and its lead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from space.catalogue import sentence_spans, split_sentences

MIN_SENTENCES = 4  # of a text; from a shorter one nothing can be taken out


def split_principal(text: str) -> tuple[str, str] | None:
    """Split a text into (the rest, its principal sentences).

    None for a text of too few sentences. A sentence is principal when it says most of what the
    others say: the F-measure of its words against the words of all other sentences (gap-sentence
    selection, "Ind-Uniq" in PEGASUS, Zhang et al. 2020, section 3.1). It is one sentence of a text
    of up to seven, two of a longer one.
    """
    sentences = split_sentences(text)
    if len(sentences) < MIN_SENTENCES:
        return None
    principal = _rank_sentences(sentences)[: 1 if len(sentences) < 8 else 2]
    taken = [sentence for index, sentence in enumerate(sentences) if index in principal]
    rest = [sentence for index, sentence in enumerate(sentences) if index not in principal]
    return " ".join(rest), " ".join(taken)


def principal_sentence(text: str) -> str:
    """Return the most principal sentence, or the first of too few."""
    sentences = split_sentences(text)
    if not sentences:
        return text.strip()
    if len(sentences) < MIN_SENTENCES:
        return sentences[0]
    return sentences[_rank_sentences(sentences)[0]]


def take_lead(text: str, tokenizer, max_tokens: int) -> str:
    """Take the first complete sentences within `max_tokens` tokens.

    Of a longer first sentence, it is the beginning.
    """
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = encoded["offset_mapping"]
    if len(offsets) <= max_tokens:
        return text
    limit = offsets[max_tokens - 1][1]  # characters
    ends = [end for _, end in sentence_spans(text) if end <= limit]
    return text[: ends[-1]] if ends else text[:limit].rsplit(None, 1)[0]


def _rank_sentences(sentences: Sequence[str]) -> list[int]:
    """Sort the sentences' indices, the most principal first."""
    words = [set(re.findall(r"\w+", sentence.lower())) for sentence in sentences]
    seen_in = Counter()
    for own in words:
        seen_in.update(own)

    def score(index: int) -> float:
        own = words[index]
        rest = sum(seen_in[word] > (word in own) for word in seen_in)
        shared = sum(seen_in[word] > 1 for word in own)
        return 2 * shared / max(1, len(own) + rest)

    return sorted(range(len(sentences)), key=score, reverse=True)
