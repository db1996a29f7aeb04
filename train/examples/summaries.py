"""Parts of a text: its principal sentences and its lead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from space.catalogue import sentence_spans, split_sentences

MIN_SENTENCES = 4  # of a text; a shorter one needs no summary
SHORTEST = 6  # words of a sentence that is cut at a clause
BRACKETS = re.compile(r"\s*\([^()\d]*\)")
# A last clause that adds something: ", which folds flat." A comma in it may begin what belongs to
# the sentence, so there is none.
RELATIVE = re.compile(
    r", (?:which|who|whose|where|o que|que|o qual|a qual|cujo|cuja|onde)\b[^,;:]*?(?P<end>[.!?]?)$"
)


def summarize_text(text: str) -> str | None:
    """Make a summary of a text's principal sentences, in its order.

    None for a text of too few sentences. A sentence is principal when it says most of what the
    others say: the F-measure of its words against the words of all other sentences (gap-sentence
    selection, "Ind-Uniq" in PEGASUS, Zhang et al. 2020, section 3.1). It is one sentence of a text
    of up to seven, two of a longer one. They stay in the text, where PEGASUS takes them out: a
    summary of what is not there teaches a model to invent.
    """
    sentences = split_sentences(text)
    if len(sentences) < MIN_SENTENCES:
        return None
    principal = sorted(_rank_sentences(sentences)[: 1 if len(sentences) < 8 else 2])
    return " ".join(shorten_sentence(sentences[index]) for index in principal)


def shorten_sentence(sentence: str) -> str:
    """Leave out brackets and a last relative clause.

    What remains is as true as the sentence was. Brackets go where they hold no digit, which may be
    a size; a clause goes where nothing follows it and enough is left.
    """
    shorter = BRACKETS.sub("", sentence)
    match = RELATIVE.search(shorter)
    if match and len(shorter[: match.start()].split()) >= SHORTEST:
        shorter = shorter[: match.start()] + match["end"]
    return shorter


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
