"""Second questions: what a person asks next, after a question and its answer, and what the records say to it."""

from __future__ import annotations

import random
from dataclasses import replace

from space.catalogue import detect_language
from train.examples.summaries import lead, main_sentence


def follow_up(maker, record: dict, other: dict, rng: random.Random):
    """Returns an Example whose history is a question about `record` and its answer; None where the two do not fit.

    It asks for the answer in one sentence, for what the answer left out of its record, or for the `other` record's
    title, which may be absent; the records in its prompt are those of what it asks about. `maker` is an Examples.
    """
    first = maker.answer(record, rng.randrange(99), rng)
    if first is None:
        return None
    position = first.sources.index(record["uid"])
    content = first.context[position]["content"]
    rest = content.removeprefix(maker.told(first.context[position])).strip()
    kind = rng.choice(("short", "other", "more" if rest else "short"))
    if kind == "other":
        asked, phrasing = other, rng.randrange(99)
        second = (
            maker.absent(
                other["title"], detect_language(other["content"]), other["uid"], phrasing, rng
            )
            if rng.random() < maker.config.absent
            else maker.answer(other, phrasing, rng)
        )
    else:
        asked, said = record, main_sentence(content) if kind == "short" else rest
        cited = maker.prompt_template.citation.format(position=position + 1)
        second = replace(first, answer=lead(said, maker.tokenizer, maker.tokens) + cited)
    if second is None:
        return None
    text = rng.choice(
        maker.prompt_template.follow_ups[detect_language(asked["content"])][kind]
    ).format(title=asked["title"])
    before = {"role": "user", "content": first.text}, {"role": "assistant", "content": first.answer}
    example = replace(second, text=text, history=before)
    return example if maker.fits(example) else None
