"""What a base brings beside its weights: single files of it, and its licence, from its own card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download, metadata_load
from yaml import YAMLError

from space.model import Base

UNKNOWN = "unknown"  # the Hub's own word for it


@dataclass(frozen=True)
class Licence:
    """A licence as the Hub's metadata spells it: its id, and a name and an address for one without an id (`other`)."""

    id: str = UNKNOWN
    name: str | None = None
    link: str | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """The fields of a card that say this."""
        fields = {"license": self.id, "license_name": self.name, "license_link": self.link}
        return {field: value for field, value in fields.items() if value}

    def words(self, base: Base) -> str:
        """Returns what a card says of it, and what it asks of whoever passes on what was made from the base."""
        if self.id == UNKNOWN:
            return (
                "The licence of the base is not known here: its own card could not be read, or names none. It holds for "
                "what is made from the base, so look it up before you pass this adapter on."
            )
        text = self.link or (f"https://huggingface.co/{base.name}" if base.on_hub else None)
        named = f"`{self.name or self.id}`" + (f" ([text]({text}))" if text else "")
        said = f"The licence of the base is {named}. It is carried on: this adapter is made from that base."
        return f"{said} {self._llama()}" if self.id.startswith(("llama3", "llama4")) else said

    def _llama(self) -> str:
        """The notices that section 1.b of Meta's community licences asks for."""
        model = "Meta Llama 3" if self.id == "llama3" else "Llama " + self.id.removeprefix("llama")
        mark = "Meta Llama 3" if self.id == "llama3" else "Llama"
        return (
            f"**Built with {mark}.** {model} is licensed under the {model} Community License, Copyright © Meta "
            "Platforms, Inc. All Rights Reserved. Whoever passes this adapter on also passes on a copy of that agreement "
            f'and this notice, under a name that begins with "{mark.removeprefix("Meta ")}", and keeps to Meta\'s '
            "acceptable use policy."
        )


def base_file(base: Base, source: str, name: str) -> Path | None:
    """Returns one of the base's own files, or None where it is not there or cannot be reached.

    `source` is the folder or the Hub id that the base was loaded from; of an id, the Hub is asked, or its cache.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    try:
        return Path(hf_hub_download(base.name, name, revision=base.revision))
    except (OSError, ValueError):
        return None


def base_licence(base: Base, source: str) -> Licence:
    """Returns the licence in the base's own card, loaded like base_file().

    A card that is not there, cannot be reached or names no licence gives an unknown one: none is ever guessed.
    """
    card = base_file(base, source, "README.md")
    try:
        told = (metadata_load(card) if card else None) or {}
    except (ValueError, YAMLError):
        return Licence()
    return Licence(
        *(
            str(told[field]) if told.get(field) else default
            for field, default in (
                ("license", UNKNOWN),
                ("license_name", None),
                ("license_link", None),
            )
        )
    )
