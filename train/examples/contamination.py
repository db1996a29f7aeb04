"""Nothing that is scored was trained on: the records that may be scored, and the proof for a run's own sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from space.catalogue import normalise
from train.config import ConfigError


def fresh(unseen: Sequence[dict], trained: Iterable[dict]) -> list[dict]:
    """Returns the unseen records whose texts, normalised, no trained record has: one text may go by two titles.

    Texts are a record's content and, where it has one, its summary.
    """
    keys = {
        record["uid"]: {normalise(text) for text in texts(record).values()} for record in unseen
    }
    wanted = set().union(*keys.values())
    shared = {
        key
        for record in trained
        for text in texts(record).values()
        if (key := normalise(text)) in wanted
    }
    return [record for record in unseen if not keys[record["uid"]] & shared]


def texts(record: Mapping) -> dict[str, str]:
    """Returns the content and the summary of a record, those that it has."""
    return {field: record[field] for field in ("content", "summary") if record.get(field)}


def check(
    sets: Mapping[str, Sequence], unseen: Iterable[dict], trained: Iterable[dict]
) -> dict[str, int]:
    """Returns {"items": n, "records": n}: how many items were compared with how many records, and nothing found.

    `sets` are those of Examples.sets(), all but `seen`, which is asked in training by definition; `unseen` has the
    contents and summaries of their records; `trained` are all that training may show, an empty content for a title alone.
    Titles are compared with titles and texts with texts, as normalise() spells them. Raises ConfigError, with an example,
    for a leak.
    """
    known = {record["uid"]: texts(record) for record in unseen}
    items = [item for name, scored in sets.items() if name != "seen" for item in scored]
    titles = {normalise(item.title) for item in items if item.title}
    told = {normalise(text) for item in items for text in known.get(item.uid, {}).values()}
    records, leaked = 0, []
    for record in trained:
        records += 1
        if record["title"] and normalise(record["title"]) in titles:
            leaked.append(("title", record["title"]))
        leaked += [
            (field, text) for field, text in texts(record).items() if normalise(text) in told
        ]
    if leaked:
        field, text = leaked[0]
        raise ConfigError(
            f"nothing was scored: {len(leaked)} of the titles and contents to score were trained on, such as "
            f"the {field} {text[:80]!r}; prepare the catalogue again, in a new --run"
        )
    return {"items": len(items), "records": records}
