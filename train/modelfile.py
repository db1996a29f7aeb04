"""An Ollama Modelfile for a merged model: its chat template as a Go template, only where that gives the very same prompts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

OPEN, CLOSE = "\ufdd0", "\ufdd1"  # noncharacters: no template has them of its own
MARK = re.compile(f"{OPEN}\\d+{CLOSE}")
TALKS = ("user", "user assistant user", "user assistant user assistant user")
UNSAYABLE = ("{{", "}}", '"""')  # in a Go template or a Modelfile these mean something else


@dataclass(frozen=True)
class Turns:
    """A chat template as what stands around each message's content; the BOS that Ollama adds itself is not in it."""

    head: str
    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str] | None = None  # stands in the head's place

    def render(self, talk: Sequence[dict]) -> str:
        """Returns the prompt of a conversation that ends with a user's message, as go() has Ollama write it."""
        told = "\n\n".join(message["content"] for message in talk if message["role"] == "system")
        first = self.head if not told or self.system is None else told.join(self.system)
        return first + "".join(
            message["content"].join(getattr(self, message["role"]))
            for message in talk
            if message["role"] != "system"
        )

    def go(self) -> str:
        """Returns the same as a Go template over Ollama's .System and .Messages."""
        otherwise = f"{{{{ else }}}}{self.head}" if self.head else ""
        system = (
            ""
            if self.system is None
            else (
                f"{{{{ if .System }}}}{'{{ .System }}'.join(self.system)}{otherwise}{{{{ end }}}}"
            )
        )
        user, assistant = ("{{ .Content }}".join(around) for around in (self.user, self.assistant))
        return (
            f'{system or self.head}{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}{user}'
            f'{{{{ else if eq .Role "assistant" }}}}{assistant}{{{{ end }}}}{{{{ end }}}}'
        )


def turns(tokenizer) -> Turns | None:
    """Returns the tokenizer's chat template as turns, None where it is not made of such.

    What is found by rendering short conversations is proven on longer ones. System messages are left out where the
    template does not put them before all others.
    """
    plain = _turns(tokenizer, with_system=False)
    if plain is None or not _proven(tokenizer, plain, TALKS):
        return None
    whole = _turns(tokenizer, with_system=True)
    return (
        whole
        if whole and _proven(tokenizer, whole, [f"system {roles}" for roles in TALKS])
        else plain
    )


def modelfile(tokenizer, stops: Iterable[str]) -> str:
    """Returns the Modelfile of a merged model's folder, to be read there: weights, template, greedy, the tokens that stop."""
    found = turns(tokenizer)
    template = (
        f'TEMPLATE """{found.go()}"""'
        if found
        else (
            "# The chat template cannot be said exactly in Ollama's way, so it is not here: Ollama takes its own for this base.\n"
            "# Compare what `ollama show --template` says with chat_template.jinja before you rely on an answer."
        )
    )
    if found and found.system is None:
        template = (
            "# A system message is left out: the chat template has no place of its own for it.\n"
            + template
        )
    return "\n".join(
        [
            "FROM .",
            template,
            *(f'PARAMETER stop "{stop}"' for stop in stops),
            "PARAMETER temperature 0",
            "",
        ]
    )


def _turns(tokenizer, with_system: bool) -> Turns | None:
    """Reads the turns off two rendered conversations."""
    try:
        start, answered, again, prompt = _around(tokenizer, "user assistant user")
        before, between, _ = _around(tokenizer, "system user") if with_system else ("", "", "")
    except (TemplateError, ValueError):
        return None
    # Both end with what opens a user's message; how much of it is the head's or the last answer's end is all the same.
    same = itertools.takewhile(
        lambda pair: pair[0] == pair[1], zip(reversed(start), reversed(again), strict=False)
    )
    user = "".join(sign for sign, _ in same)[::-1]
    pieces = start.removesuffix(user), again.removesuffix(user), before, between.removesuffix(user)
    if not answered.startswith(prompt) or any(
        sign in piece for piece in (*pieces, user, answered) for sign in UNSAYABLE
    ):
        return None
    head, end, *system = pieces
    return Turns(
        head,
        (user, prompt),
        (answered.removeprefix(prompt), end),
        tuple(system) if with_system else None,
    )


def _around(tokenizer, roles: str) -> list[str]:
    """The texts before, between and after the contents of a conversation in these roles, ready for its answer."""
    parts = MARK.split(_rendered(tokenizer, roles))
    return [parts[0].removeprefix(tokenizer.bos_token or ""), *parts[1:]]


def _rendered(tokenizer, roles: str) -> str:
    return tokenizer.apply_chat_template(_talk(roles), tokenize=False, add_generation_prompt=True)


def _talk(roles: str) -> list[dict[str, str]]:
    return [
        {"role": role, "content": f"{OPEN}{place}{CLOSE}"}
        for place, role in enumerate(roles.split())
    ]


def _proven(tokenizer, found: Turns, talks: Iterable[str]) -> bool:
    try:
        return all(
            (tokenizer.bos_token or "") + found.render(_talk(roles)) == _rendered(tokenizer, roles)
            for roles in talks
        )
    except TemplateError:
        return False
