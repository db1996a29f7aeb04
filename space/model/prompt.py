"""Words to prompt tokens: tasks, input limits, the token budget and prompt_ids(), for every use of a model."""

from __future__ import annotations

import bisect
import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TypedDict

from space.catalogue import language, plain
from space.errors import InputError, PromptTemplateError

FORMAT = 1  # of prompt.json; an adapter with another one is refused
TASKS = ("describe", "answer", "summarize")
# For a base without a chat template. It spells no token of its own, so that any tokenizer can say it.
CHAT_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token + '\\n' }}{% else %}{{ 'Question: ' + message['content'] + '\\nAnswer:' }}"
    "{% endif %}{% endfor %}"
)
# For an encoder-decoder without one: the same words for its encoder, which is used to an end; the answer is its decoder's.
ENCODER_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + '\\n' }}{% else %}{{ 'Question: ' + message['content'] + '\\nAnswer:' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ eos_token }}{% endif %}"
)
CLOCK = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
TEMPLATE_DATE = date(2024, 7, 26)  # what Llama 3.1's own template says when there is no clock
# Unicode noncharacters, kept for a program's inner use: they mark places in a rendered template, and leave every text.
OPEN, CLOSE = "\ufdd0", "\ufdd1"
MARK = re.compile(f"{OPEN}(\\d+){CLOSE}")
SHORTEST_RECORD = 40  # characters; a record cut below this is dropped


@dataclass(frozen=True)
class PromptTemplate:
    """The words around a question, and those that training teaches; a field that a file lacks has its default.

    But for `no_records_pt`: an older adapter learned one text for both languages.
    """

    format: int = FORMAT
    describe: str = "{text}"
    answer: str = "{records}\n\n{text} Answer from the records above and cite them, like [1]."
    record: str = "[{position}] {title}\n{content}"
    # An `answer` for which no record was found, and the same asked in Portuguese: nothing else in the prompt says in which
    # language to answer, where a name of no language is asked for.
    no_records: str = (
        "No record of the catalogue was found.\n\n{text} If the catalogue does not have it, say so."
    )
    no_records_pt: str = (
        "Nenhum registro do catálogo foi encontrado.\n\n{text} Se o catálogo não tiver, diga isso."
    )
    summarize: str = "{text}\n\nSummarize the text above."
    citation: str = " [{position}]"
    absent: Mapping[str, str] = field(
        default_factory=lambda: {
            "en": "The catalogue has nothing by that name.",
            "pt": "Não temos.",
        }
    )
    questions: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {
            "en": (
                "What is {title}?",
                "Describe {title}.",
                "Tell me about {title}.",
                "What do you know about {title}?",
            ),
            "pt": (
                "O que é {title}?",
                "Descreva {title}.",
                "Fale sobre {title}.",
                "O que você sabe sobre {title}?",
            ),
        }
    )
    # What may be asked after an answer: its short form, what it left out, another title.
    follow_ups: Mapping[str, Mapping[str, Sequence[str]]] = field(
        default_factory=lambda: {
            "en": {
                "short": (
                    "Summarize that in one sentence.",
                    "Say that in one sentence.",
                    "What is it, in short?",
                ),
                "more": ("Tell me more about it.", "What else do you know about it?"),
                "other": ("And {title}?", "What about {title}?", "And what is {title}?"),
            },
            "pt": {
                "short": (
                    "Resuma isso em uma frase.",
                    "Diga isso em uma frase.",
                    "O que é, em resumo?",
                ),
                "more": ("Fale mais sobre isso.", "O que mais você sabe sobre isso?"),
                "other": ("E {title}?", "E sobre {title}?", "E o que é {title}?"),
            },
        }
    )

    def save(self, path: Path) -> None:
        """Writes prompt.json, UTF-8."""
        path.write_text(
            json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, path: Path) -> PromptTemplate:
        """Reads prompt.json; raises PromptTemplateError where its format is not ours or it is not readable."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            theirs = data.get("format")
        except (OSError, ValueError, AttributeError) as error:
            raise PromptTemplateError(
                f"{path.name} cannot be read as an adapter's prompt template: {error}"
            ) from error
        if theirs != FORMAT:
            raise PromptTemplateError(
                f"the adapter's prompt format is {theirs!r}, this version reads {FORMAT}: use a version "
                "of Shelftalk that reads it, or train the adapter again"
            )
        try:
            return cls(**{"no_records_pt": data.get("no_records", cls.no_records)} | data)
        except TypeError as error:
            raise PromptTemplateError(
                f"{path.name} has a field that format {FORMAT} does not know: {error}"
            ) from error


class Message(TypedDict):
    """One message of a conversation; `role` is user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """A prompt that fits its window, and what was left out to make it fit."""

    ids: list[int]
    talk: Sequence[Mapping] = ()  # what messages() made of it
    context: tuple[Mapping, ...] = ()
    cut: int = 0  # characters taken from records or from the text
    dropped: int = 0  # records and earlier messages left out whole


# --- what a person may send ------------------------------------------------------------------------------------------


def check_text(text: str, limit: int, what: str = "question") -> str:
    """Returns the text to answer; raises InputError where nothing is left of it or it has over `limit` characters.

    `what` is question, text, answer, summary or query.
    """
    if len(text) > limit:
        raise InputError(f"long_{what}", length=len(text), limit=limit)
    cleaned = plain(text)
    if not cleaned:
        raise InputError(f"empty_{what}")
    return cleaned


# --- words to tokens -------------------------------------------------------------------------------------------------


def chat_template(tokenizer, ours: str = CHAT_TEMPLATE) -> str:
    """Returns the tokenizer's chat template with its clock stopped, or `ours` where it has none."""
    template = tokenizer.chat_template or ours
    return CLOCK.sub(lambda call: f'"{TEMPLATE_DATE.strftime(call[2])}"', template)


def messages(
    prompt_template: PromptTemplate,
    task: str,
    text: str,
    context: Sequence[Mapping] = (),
    history: Sequence[Mapping] = (),
) -> list[dict[str, str]]:
    """Returns the conversation that the model sees: role and content of each message, the question last.

    `context` are records with title and content, best first; `history` are earlier messages. An `answer` without
    records says that none was found.
    """
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; there are {', '.join(TASKS)}")
    records = "\n\n".join(
        prompt_template.record.format(
            position=position, title=plain(record["title"]), content=plain(record["content"])
        )
        for position, record in enumerate(context, start=1)
    )
    template = getattr(prompt_template, task)
    if task == "answer" and not context:
        template = {"en": prompt_template.no_records, "pt": prompt_template.no_records_pt}[
            language(text)
        ]
    last = template.format(text=plain(text), records=records)
    past = [{"role": message["role"], "content": plain(message["content"])} for message in history]
    return [*past, {"role": "user", "content": last}]


def prompt_ids(
    tokenizer,
    prompt_template: PromptTemplate,
    task: str,
    text: str,
    context: Sequence[Mapping] = (),
    history: Sequence[Mapping] = (),
) -> list[int]:
    """Returns the token ids of a prompt, ready to be continued; see messages() for what comes in.

    Equal to `apply_chat_template(..., add_generation_prompt=True)` with chat_template(tokenizer), but that a special
    token spelled inside a text is encoded as the ordinary characters it is.
    """
    return _asked(tokenizer, messages(prompt_template, task, text, context, history))


def example_ids(
    tokenizer,
    prompt_template: PromptTemplate,
    task: str,
    text: str,
    answer: str,
    context: Sequence[Mapping] = (),
    history: Sequence[Mapping] = (),
) -> tuple[list[int], list[int]]:
    """Returns (prompt ids, answer ids with EOS): the answer as the chat template writes it after that prompt."""
    talk = messages(prompt_template, task, text, context, history)
    prompt = _asked(tokenizer, talk)
    return prompt, [*answer_ids(tokenizer, prompt, talk, answer), tokenizer.eos_token_id]


def answer_ids(tokenizer, prompt: Sequence[int], talk: Sequence[Mapping], answer: str) -> list[int]:
    """Returns an answer's ids as the chat template writes it after that prompt (its ids, and its messages), without its end."""
    asked, told = (
        _skeleton(tokenizer, talk, True),
        [*talk, {"role": "assistant", "content": plain(answer)}],
    )
    whole = _skeleton(tokenizer, told, False)
    mark = f"{OPEN}{len(talk)}{CLOSE}"
    tail = whole[len(asked) : whole.index(mark) + len(mark)] if whole.startswith(asked) else mark
    ids = _encode(tokenizer, asked + tail, told)
    # A tokenizer may merge across the seam; then the answer is encoded alone, and no length is guessed.
    fits = ids[: len(prompt)] == prompt
    return ids[len(prompt) :] if fits else _encode(tokenizer, tail, told)


def _asked(tokenizer, talk: Sequence[Mapping]) -> list[int]:
    return _encode(tokenizer, _skeleton(tokenizer, talk, True), talk)


def _skeleton(tokenizer, talk: Sequence[Mapping], generation: bool) -> str:
    """The rendered template with a mark where each message's content goes."""
    marked = [
        {"role": message["role"], "content": f"{OPEN}{index}{CLOSE}"}
        for index, message in enumerate(talk)
    ]
    return tokenizer.apply_chat_template(
        marked,
        chat_template=chat_template(tokenizer),
        tokenize=False,
        add_generation_prompt=generation,
    )


def _encode(tokenizer, skeleton: str, talk: Sequence[Mapping]) -> list[int]:
    contents = [message["content"] for message in talk]
    special = _special_spellings(tokenizer)
    if not any(special.search(content) for content in contents):
        whole = MARK.sub(lambda mark: contents[int(mark[1])], skeleton)
        return tokenizer(whole, add_special_tokens=False)["input_ids"]
    # In a copy of the tokenizer the special tokens go by names that no text can spell.
    secret, names, ids = _renamed(tokenizer)
    renamed = special.sub(lambda found: names[found[0]], skeleton)
    whole = MARK.sub(lambda mark: contents[int(mark[1])], renamed)
    return [ids.get(token, token) for token in secret.encode(whole, add_special_tokens=False).ids]


@functools.lru_cache(maxsize=8)
def _special_spellings(tokenizer) -> re.Pattern:
    spellings = [
        token.content for token in tokenizer.added_tokens_decoder.values() if token.special
    ]
    return re.compile("|".join(map(re.escape, sorted(spellings, key=len, reverse=True))) or r"(?!)")


@functools.lru_cache(maxsize=8)
def _renamed(tokenizer):
    """Returns (a copy of the backend tokenizer, new name of each special token, original id of each of its ids)."""
    backend = tokenizer.backend_tokenizer
    data = json.loads(backend.to_str())
    names, originals = {}, {}
    for token in data["added_tokens"]:
        if token["special"]:
            names[token["content"]] = token["content"] = f"\ufdd2{token['id']}\ufdd2"
            originals[token["content"]] = token["id"]
    vocabulary = data["model"]["vocab"]
    if isinstance(
        vocabulary, list
    ):  # T5's: every piece with its likelihood, and the special tokens are pieces like others
        data["model"]["vocab"] = [[names.get(piece, piece), likely] for piece, likely in vocabulary]
    copy = type(backend).from_str(json.dumps(data))
    return copy, names, {copy.token_to_id(name): original for name, original in originals.items()}


# --- the token budget ------------------------------------------------------------------------------------------------


def fit_prompt(
    tokenizer,
    prompt_template: PromptTemplate,
    task: str,
    text: str,
    context: Sequence[Mapping] = (),
    history: Sequence[Mapping] = (),
    *,
    room: int,
) -> Prompt:
    """Returns the prompt that fits in `room` tokens: the window less the answer's tokens.

    The question comes first; a text to summarize is cut at its end. Then earlier messages go, oldest first, and
    records are cut and then dropped, lowest score (last) first. A question whose records were all dropped is a
    `describe`: it would be wrong to say that none was found. Raises InputError where the question alone is too long.
    """
    ids = functools.partial(prompt_ids, tokenizer, prompt_template, task)
    found, context, history, cut, dropped = bool(context), list(context), list(history), 0, 0
    over = len(ids(text, (), ())) - room
    while over > 0 and task == "summarize" and len(text) > SHORTEST_RECORD:
        shorter = _shorten(tokenizer, text, over)
        cut, text = cut + len(text) - len(shorter), shorter
        over = len(ids(text, (), ())) - room
    if over > 0:
        raise InputError("window_question", over=over)
    # A shorter history is a shorter prompt, so how much of it must go is found by halves: a talk may be long.
    oldest = 2 * bisect.bisect_left(
        range(0, len(history) + 1, 2),
        True,
        key=lambda start: len(ids(text, context[:1], history[start:])) <= room,
    )
    dropped += len(history[:oldest])
    del history[:oldest]
    while context and (over := len(ids(text, context, history)) - room) > 0:
        content = context[-1]["content"]
        shorter = _shorten(tokenizer, content, over)
        if len(shorter) < SHORTEST_RECORD:
            context.pop()
            dropped += 1
        else:
            context[-1] = {**context[-1], "content": shorter}
            cut += len(content) - len(shorter)
    talk = messages(
        prompt_template, "describe" if found and not context else task, text, context, history
    )
    return Prompt(_asked(tokenizer, talk), talk, tuple(context), cut, dropped)


def _shorten(tokenizer, text: str, tokens: int) -> str:
    """Returns `text` at least `tokens` tokens shorter, cut at the last blank before that."""
    ends = [
        end
        for _, end in tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[
            "offset_mapping"
        ]
    ]
    kept = text[: ends[-tokens - 2]] if len(ends) > tokens + 1 else ""
    return kept.rsplit(None, 1)[0] if " " in kept else kept[:-1]
