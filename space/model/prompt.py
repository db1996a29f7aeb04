"""Turn a question, its records and its history into prompt tokens that fit a window."""

from __future__ import annotations

import bisect
import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypedDict

from space.catalogue import Record, detect_language, question_language
from space.errors import InputError
from space.model.prompt_template import PromptTemplate
from space.texts import remove_controls

TASKS = ("describe", "answer", "summarize")
# For a base without a chat template. It has no token of its own, so any tokenizer can encode it.
CHAT_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token + '\\n' }}{% else %}"
    "{{ 'Question: ' + message['content'] + '\\nAnswer:' }}{% endif %}{% endfor %}"
)
# The same for an encoder-decoder. Its encoder expects an end token, and its decoder the answer.
ENCODER_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + '\\n' }}{% else %}"
    "{{ 'Question: ' + message['content'] + '\\nAnswer:' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ eos_token }}{% endif %}"
)
CLOCK = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
TEMPLATE_DATE = date(2024, 7, 26)  # what Llama 3.1's own template says when there is no clock
# Unicode noncharacters, reserved for a program's internal use: remove_controls() takes them out of
# every text, so here they can mark positions in a rendered template.
OPEN, CLOSE = "\ufdd0", "\ufdd1"
MARK = re.compile(f"{OPEN}(\\d+){CLOSE}")
SHORTEST_RECORD = 40  # characters; a record cut below this is dropped


class Message(TypedDict):
    """One message of a conversation.

    `role` is user or assistant.
    """

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """A prompt that fits its window, and what was left out to make it fit."""

    ids: list[int]
    messages: Sequence[Message] = ()
    context: tuple[Record, ...] = ()
    cut: int = 0  # characters taken from records or from the text
    dropped: int = 0  # records and earlier messages left out


def check_text(text: str, limit: int, what: str = "question") -> str:
    """Clean a person's text.

    Raises InputError if it is empty or has over `limit` characters. `what` is question, text,
    answer, summary or query.
    """
    if len(text) > limit:
        raise InputError(f"long_{what}", length=len(text), limit=limit)
    cleaned = remove_controls(text)
    if not cleaned:
        raise InputError(f"empty_{what}")
    return cleaned


def chat_template(tokenizer, default: str = CHAT_TEMPLATE) -> str:
    """Get the tokenizer's chat template, or the default, with its clock stopped."""
    template = tokenizer.chat_template or default
    return CLOCK.sub(lambda call: f'"{TEMPLATE_DATE.strftime(call[2])}"', template)


def build_messages(
    prompt_template: PromptTemplate,
    task: str,
    text: str,
    context: Sequence[Record] = (),
    history: Sequence[Message] = (),
    language: str = "",
) -> list[Message]:
    """Build the conversation that the model reads, the question last.

    `context` are records, best first; `history` are earlier messages. An `answer` without records
    says that none was found. `language` is that of a question that shows none, "en" or "pt".
    """
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; there are {', '.join(TASKS)}")
    records = []
    for position, record in enumerate(context, start=1):
        title, content = remove_controls(record["title"]), remove_controls(record["content"])
        records.append(
            prompt_template.record.format(position=position, title=title, content=content)
        )
    template = prompt_template.describe
    if task != "describe":
        name = "no_records" if task == "answer" and not context else task
        titles = [record["title"] for record in context]
        if task == "summarize":
            language = detect_language(text)
        else:
            language = question_language(text, titles, language)
        template = prompt_template.in_language(name, language)
    question = template.format(text=remove_controls(text), records="\n\n".join(records))
    messages: list[Message] = []
    for message in history:
        messages.append({"role": message["role"], "content": remove_controls(message["content"])})
    messages.append({"role": "user", "content": question})
    return messages


# --- messages to tokens ---


def prompt_ids(
    tokenizer,
    prompt_template: PromptTemplate,
    task: str,
    text: str,
    context: Sequence[Record] = (),
    history: Sequence[Message] = (),
    language: str = "",
) -> list[int]:
    """Encode a prompt, ready to be continued.

    The ids equal `apply_chat_template(messages, add_generation_prompt=True)`, with no second BOS,
    except that a special token spelled inside a user's or a record's text stays ordinary text.
    See build_messages() for the arguments.
    """
    messages = build_messages(prompt_template, task, text, context, history, language)
    return _prompt_ids(tokenizer, messages)


def example_ids(
    tokenizer,
    prompt_template: PromptTemplate,
    task: str,
    text: str,
    answer: str,
    context: Sequence[Record] = (),
    history: Sequence[Message] = (),
) -> tuple[list[int], list[int]]:
    """Encode a prompt and its answer with EOS, each by itself."""
    messages = build_messages(prompt_template, task, text, context, history)
    prompt = _prompt_ids(tokenizer, messages)
    return prompt, [*answer_ids(tokenizer, prompt, messages, answer), tokenizer.eos_token_id]


def answer_ids(
    tokenizer, prompt: Sequence[int], messages: Sequence[Message], answer: str
) -> list[int]:
    """Encode an answer as the chat template writes it after a prompt.

    `prompt` are the prompt's ids, and `messages` its messages. The answer's end is left out.
    """
    answered: list[Message] = [
        *messages,
        {"role": "assistant", "content": remove_controls(answer)},
    ]
    before = _render_marks(tokenizer, messages, True)
    full = _render_marks(tokenizer, answered, False)
    mark = f"{OPEN}{len(messages)}{CLOSE}"
    tail = mark
    if full.startswith(before):
        tail = full[len(before) : full.index(mark) + len(mark)]
    ids = _encode(tokenizer, before + tail, answered)
    if ids[: len(prompt)] == prompt:
        return ids[len(prompt) :]
    # The tokenizer merged across the boundary: the answer is encoded alone, no length is guessed.
    return _encode(tokenizer, tail, answered)


def text_ids(tokenizer, text: str) -> list[int]:
    """Encode a text alone, with special tokens' names as ordinary text."""
    return _encode(tokenizer, f"{OPEN}0{CLOSE}", [{"role": "user", "content": text}])


def _prompt_ids(tokenizer, messages: Sequence[Message]) -> list[int]:
    return _encode(tokenizer, _render_marks(tokenizer, messages, True), messages)


def _render_marks(tokenizer, messages: Sequence[Message], generation: bool) -> str:
    """Render the chat template with marks in place of the messages' contents."""
    marked = []
    for index, message in enumerate(messages):
        marked.append({"role": message["role"], "content": f"{OPEN}{index}{CLOSE}"})
    return tokenizer.apply_chat_template(
        marked,
        chat_template=chat_template(tokenizer),
        tokenize=False,
        add_generation_prompt=generation,
    )


def _encode(tokenizer, rendered: str, messages: Sequence[Message]) -> list[int]:
    """Encode a rendered template with the messages' contents at its marks."""
    contents = [message["content"] for message in messages]
    special = _special_pattern(tokenizer)
    if not any(special.search(content) for content in contents):
        text = MARK.sub(lambda mark: contents[int(mark[1])], rendered)
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    # In a copy of the tokenizer the special tokens have names that no text can spell.
    copy, names, ids = _rename_special_tokens(tokenizer)
    renamed = special.sub(lambda found: names[found[0]], rendered)
    text = MARK.sub(lambda mark: contents[int(mark[1])], renamed)
    return [ids.get(token, token) for token in copy.encode(text, add_special_tokens=False).ids]


@functools.lru_cache(maxsize=8)
def _special_pattern(tokenizer) -> re.Pattern:
    tokens = tokenizer.added_tokens_decoder.values()
    spellings = [re.escape(token.content) for token in tokens if token.special]
    # Longest first, since one may begin with another; without any, what matches nothing.
    return re.compile("|".join(sorted(spellings, key=len, reverse=True)) or r"(?!)")


@functools.lru_cache(maxsize=8)
def _rename_special_tokens(tokenizer):
    """Copy the backend tokenizer with other names for its special tokens.

    Returns the copy, {special token: its new name} and {id in the copy: original id}.
    """
    backend = tokenizer.backend_tokenizer
    data = json.loads(backend.to_str())
    names, original_ids = {}, {}
    for token in data["added_tokens"]:
        if token["special"]:
            name = f"\ufdd2{token['id']}\ufdd2"
            names[token["content"]] = name
            original_ids[name] = token["id"]
            token["content"] = name
    vocabulary = data["model"]["vocab"]
    if isinstance(vocabulary, list):
        # T5's: pairs of a piece and its score, the special tokens among them.
        data["model"]["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    copy = type(backend).from_str(json.dumps(data))
    return copy, names, {copy.token_to_id(name): id for name, id in original_ids.items()}


# --- the token budget ---


def fit_prompt(
    tokenizer,
    prompt_template: PromptTemplate,
    task: str,
    text: str,
    context: Sequence[Record] = (),
    history: Sequence[Message] = (),
    *,
    room: int,
    language: str = "",
) -> Prompt:
    """Make the prompt that fits in `room` tokens.

    The room is the window without the answer's tokens. The question has priority; a text to
    summarize is cut at its end. Then earlier messages are dropped, oldest first, and records are
    cut and then dropped, last (lowest score) first. A question whose records were all dropped
    becomes a `describe`: it must not say that none was found. Raises InputError where the question
    alone is too long. `language` is as in build_messages().
    """
    ids = functools.partial(prompt_ids, tokenizer, prompt_template, task, language=language)
    kept, history, cut, dropped = list(context), list(history), 0, 0
    over = len(ids(text, (), ())) - room
    while over > 0 and task == "summarize" and len(text) > SHORTEST_RECORD:
        shorter = _shorten(tokenizer, text, over)
        cut, text = cut + len(text) - len(shorter), shorter
        over = len(ids(text, (), ())) - room
    if over > 0:
        raise InputError("window_question", over=over)
    # Fewer messages make a shorter prompt, so bisection finds how many must go.
    oldest = 2 * bisect.bisect_left(
        range(0, len(history) + 1, 2),
        True,
        key=lambda start: len(ids(text, kept[:1], history[start:])) <= room,
    )
    dropped += len(history[:oldest])
    del history[:oldest]
    while kept and (over := len(ids(text, kept, history)) - room) > 0:
        content = kept[-1]["content"]
        shorter = _shorten(tokenizer, content, over)
        if len(shorter) < SHORTEST_RECORD:
            kept.pop()
            dropped += 1
        else:
            kept[-1] = {**kept[-1], "content": shorter}
            cut += len(content) - len(shorter)
    if context and not kept:
        task = "describe"
    messages = build_messages(prompt_template, task, text, kept, history, language)
    return Prompt(_prompt_ids(tokenizer, messages), messages, tuple(kept), cut, dropped)


def _shorten(tokenizer, text: str, tokens: int) -> str:
    """Cut at least this many tokens from the end, at a blank."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = encoded["offset_mapping"]
    kept = text[: offsets[-tokens - 2][1]] if len(offsets) > tokens + 1 else ""
    return kept.rsplit(None, 1)[0] if " " in kept else kept[:-1]
