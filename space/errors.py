"""Named errors of the runtime; only the page and the command line turn them into words."""

from __future__ import annotations

from space.texts import words


class InputError(ValueError):
    """What a person sent cannot be answered; `key` and `values` are its words in space/texts.py, str() says them in English."""

    def __init__(self, key: str, **values) -> None:
        super().__init__(words(key, **values))
        self.key, self.values = key, values


class ModelError(Exception):
    """A base or an adapter cannot be loaded, or they do not belong together; one line with the value and the remedy."""


class PromptTemplateError(ValueError):
    """An adapter's prompt.json is not one that this version can read."""


class CatalogueError(Exception):
    """A catalogue cannot be served; the words are meant for a person."""
