"""Prompts, weights and tokens: load a base with its adapter, generate and explain answers."""

import logging

# Before it is imported, here and by peft: it warns of a kernel that it cannot download.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from space.model.adapter import ANY_REVISION, find_adapter, read_adapter_base
from space.model.base import Base, identify_base, load_base, load_tokenizer
from space.model.conversation import (
    COLUMNS,
    AnswerFigures,
    Column,
    Figures,
    Step,
    Turn,
    column_messages,
    fit_prompts,
)
from space.model.decode import complete, decode_text, stream_answers, stream_tokens
from space.model.explain import ExplainedToken, explain_answer
from space.model.family import (
    DecoderOnly,
    TokenRow,
    Window,
    family_of,
    family_of_task,
    split_row,
)
from space.model.layers import Rows, container_room, pair_up
from space.model.pair import Pair, load_pair
from space.model.prompt import (
    Message,
    Prompt,
    answer_ids,
    build_messages,
    check_text,
    example_ids,
    fit_prompt,
)
from space.model.prompt_template import PromptTemplate

__all__ = [
    "ANY_REVISION",
    "COLUMNS",
    "AnswerFigures",
    "Base",
    "Column",
    "DecoderOnly",
    "ExplainedToken",
    "Figures",
    "Message",
    "Pair",
    "Prompt",
    "PromptTemplate",
    "Rows",
    "Step",
    "TokenRow",
    "Turn",
    "Window",
    "answer_ids",
    "build_messages",
    "check_text",
    "column_messages",
    "complete",
    "container_room",
    "decode_text",
    "example_ids",
    "explain_answer",
    "family_of",
    "family_of_task",
    "find_adapter",
    "fit_prompt",
    "fit_prompts",
    "identify_base",
    "load_base",
    "load_pair",
    "load_tokenizer",
    "pair_up",
    "read_adapter_base",
    "split_row",
    "stream_answers",
    "stream_tokens",
]
