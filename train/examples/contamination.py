"""Proof that nothing that is scored was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from space.catalogue import normalise
from train.config import ConfigError
from train.prepare import SplitRecord

Text = TypeVar("Text", bound=SplitRecord)


def exclude_shared_texts(held_out: Sequence[Text], trained: Iterable[SplitRecord]) -> list[Text]:
    """Exclude the records with a text that a trained record has.

    One text may have two titles. Texts are compared as normalise() spells them.
    """
    texts = {record["uid"]: set(_normalised_texts(record)) for record in held_out}
    wanted = set().union(*texts.values())
    shared = set()
    for record in trained:
        shared |= wanted.intersection(_normalised_texts(record))
    return [record for record in held_out if shared.isdisjoint(texts[record["uid"]])]


def check_contamination(
    scored: Sequence[tuple[str, str]],
    held_out: Iterable[SplitRecord],
    trained: Iterable[SplitRecord],
) -> dict[str, int]:
    """Compare what is scored with all that training may show.

    `scored` are (uid, title); `held_out` has the texts of the scored uids; `trained` may hold
    titles without a content. Titles are compared with titles and texts with texts, as normalise()
    spells them. Returns {"items": compared, "records": compared with}; raises ConfigError, with an
    example, where one was trained on.
    """
    uids = {uid for uid, _ in scored}
    titles = {normalise(title) for _, title in scored if title}
    texts = set()
    for record in held_out:
        if record["uid"] in uids:
            texts.update(_normalised_texts(record))
    count, found = 0, []
    for record in trained:
        count += 1
        if record["title"] and normalise(record["title"]) in titles:
            found.append(("title", record["title"]))
        for text, (field, original) in _normalised_texts(record).items():
            if text in texts:
                found.append((field, original))
    if found:
        field, text = found[0]
        raise ConfigError(
            f"nothing was scored: {len(found)} of the titles and contents to score were trained "
            f"on, such as the {field} {text[:80]!r}; prepare the catalogue again, in a new --run"
        )
    return {"items": len(scored), "records": count}


def _normalised_texts(record: SplitRecord) -> dict[str, tuple[str, str]]:
    """Map a record's content and summary, normalised, to (field, text)."""
    texts = {}
    for field in ("content", "summary"):
        text = record.get(field)
        if text:
            texts[normalise(text)] = (field, text)
    return texts
