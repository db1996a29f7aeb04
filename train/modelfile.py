"""An Ollama Modelfile for a merged model, with its chat template as a Go template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from space.model import Message

# Contents are marked with noncharacters, which no template has of its own.
OPEN, CLOSE = "\ufdd0", "\ufdd1"
CONTENT = re.compile(f"{OPEN}\\d+{CLOSE}")
CONVERSATIONS = ("user", "user assistant user", "user assistant user assistant user")
RESERVED = ("{{", "}}", '"""')  # in a Go template and in a Modelfile
# What `llama-quantize` makes of the merged model. Ollama converts no safetensors of a Llama or a
# Mistral, so the Modelfile names this file.
GGUF, QUANTIZED = "shop.gguf", "shop-Q4_K_M.gguf"


@dataclass(frozen=True)
class TurnTemplate:
    """A chat template as the text before and after each message's content.

    The BOS, which Ollama adds itself, is not in it.
    """

    head: str
    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str] | None = None  # replaces the head

    def render(self, messages: Sequence[Message]) -> str:
        """Render a conversation as Ollama renders to_go().

        It ends with a user's message.
        """
        system = "\n\n".join(
            message["content"] for message in messages if message["role"] == "system"
        )
        text = system.join(self.system) if system and self.system else self.head
        for message in messages:
            if message["role"] != "system":
                around = self.user if message["role"] == "user" else self.assistant
                text += message["content"].join(around)
        return text

    def to_go(self) -> str:
        """Write the template in Go's language, over Ollama's .System and .Messages."""
        head = self.head
        if self.system:
            system = "{{ .System }}".join(self.system)
            otherwise = f"{{{{ else }}}}{head}" if head else ""
            head = f"{{{{ if .System }}}}{system}{otherwise}{{{{ end }}}}"
        user = "{{ .Content }}".join(self.user)
        assistant = "{{ .Content }}".join(self.assistant)
        return (
            f'{head}{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}{user}'
            f'{{{{ else if eq .Role "assistant" }}}}{assistant}{{{{ end }}}}{{{{ end }}}}'
        )


def build_modelfile(tokenizer, stops: Iterable[str]) -> str:
    """Write the Modelfile of a merged model.

    It names the quantized GGUF file, template, stop tokens and greedy decoding.
    """
    template = read_turn_template(tokenizer)
    lines = [f"FROM ./{QUANTIZED}"]
    if template is None:
        lines += [
            "# The chat template cannot be written exactly in Ollama's language, so it is not "
            "here: Ollama takes its own for this base.",
            "# Compare what `ollama show --template` prints with chat_template.jinja before you "
            "rely on an answer.",
        ]
    else:
        if template.system is None:
            lines.append(
                "# A system message is left out: the chat template does not put it before the "
                "conversation."
            )
        lines.append(f'TEMPLATE """{template.to_go()}"""')
    lines += [f'PARAMETER stop "{stop}"' for stop in stops]
    return "\n".join([*lines, "PARAMETER temperature 0", ""])


def read_turn_template(tokenizer) -> TurnTemplate | None:
    """Read a tokenizer's chat template as a TurnTemplate.

    None where it cannot be one. It is read from short conversations and checked on longer ones.
    System messages are left out where the template does not put them before all others.
    """
    plain = _read(tokenizer, with_system=False)
    if plain is None or not _renders_as(tokenizer, plain, CONVERSATIONS):
        return None
    full = _read(tokenizer, with_system=True)
    if full and _renders_as(tokenizer, full, [f"system {roles}" for roles in CONVERSATIONS]):
        return full
    return plain


def _read(tokenizer, with_system: bool) -> TurnTemplate | None:
    before = between = ""
    try:
        start, answered, again, prompt = _around_contents(tokenizer, "user assistant user")
        if with_system:
            before, between, _ = _around_contents(tokenizer, "system user")
    except (TemplateError, ValueError):
        return None
    # Both end with what opens a user's message. It does not matter how much of that is the
    # head's or the last answer's.
    user = start[len(start) - common_prefix(start[::-1], again[::-1]) :]
    head, end = start.removesuffix(user), again.removesuffix(user)
    after = between.removesuffix(user)  # the system message
    pieces = OPEN.join((head, end, before, after, user, answered))
    if any(sign in pieces for sign in RESERVED) or not answered.startswith(prompt):
        return None
    return TurnTemplate(
        head=head,
        user=(user, prompt),
        assistant=(answered.removeprefix(prompt), end),
        system=(before, after) if with_system else None,
    )


def common_prefix(one: Sequence, other: Sequence) -> int:
    """Count the items that two sequences share before their first difference."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _around_contents(tokenizer, roles: str) -> list[str]:
    """Split a conversation's prompt at its contents, without the BOS."""
    parts = CONTENT.split(_render(tokenizer, roles))
    return [parts[0].removeprefix(tokenizer.bos_token or ""), *parts[1:]]


def _render(tokenizer, roles: str) -> str:
    messages = _conversation(roles)
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _conversation(roles: str) -> list[Message]:
    return [
        {"role": role, "content": f"{OPEN}{number}{CLOSE}"}
        for number, role in enumerate(roles.split())
    ]


def _renders_as(tokenizer, template: TurnTemplate, conversations: Iterable[str]) -> bool:
    bos = tokenizer.bos_token or ""
    try:
        return all(
            bos + template.render(_conversation(roles)) == _render(tokenizer, roles)
            for roles in conversations
        )
    except TemplateError:
        return False
