"""Nothing that is scored was trained on: the records that may be scored, and the proof for a run's own sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from space.sources import normalise
from train.config import ConfigError


def fresh(unseen: Sequence[dict], trained: Iterable[dict]) -> list[dict]:
    """Returns the unseen records whose content, normalised, no trained record has: one text may go by two titles."""
    keys = {record["uid"]: normalise(record["content"]) for record in unseen}
    wanted = set(keys.values())
    shared = {key for record in trained if (key := normalise(record["content"])) in wanted}
    return [record for record in unseen if keys[record["uid"]] not in shared]


def check(sets: Mapping[str, Sequence], unseen: Iterable[dict], trained: Iterable[dict]) -> dict[str, int]:
    """Returns {"items": n, "records": n}: how many items were compared with how many records, and nothing found.

    `sets` are those of Examples.sets(), all but `seen`, which is asked in training by definition; `unseen` has the
    contents of their records; `trained` are all records that training may show, an empty content for a title alone.
    Titles and contents are compared as normalise() spells them. Raises ConfigError, with an example, for a leak.
    """
    contents = {record["uid"]: record["content"] for record in unseen}
    items = [item for name, scored in sets.items() if name != "seen" for item in scored]
    looked_for = {(field, normalise(text)) for item in items
                  for field, text in (("title", item.title), ("content", contents.get(item.uid, ""))) if text}
    records, leaked = 0, []
    for record in trained:
        records += 1
        leaked += [(field, record) for field in ("title", "content")
                   if record[field] and (field, normalise(record[field])) in looked_for]
    if leaked:
        field, record = leaked[0]
        raise ConfigError(f"nothing was scored: {len(leaked)} of the titles and contents to score were trained on, such as "
                          f"the {field} {record[field][:80]!r}; prepare the catalogue again, in a new --run")
    return {"items": len(items), "records": records}
