"""TODO"""

from space.model.base import Base, address, identify, kind_of, load_base, load_tokenizer, named
from space.model.conversation import (
    COLUMNS,
    Step,
    figures,
    fit_both,
    history,
    turn,
)
from space.model.decode import completions, stream_tokens, text_of, tokens_of_both
from space.model.explain import explain_answer
from space.model.family import DecoderOnly, Window, family_of, family_of_task, parts
from space.model.pair import Pair, Rows, load_pair
from space.model.prompt import (
    Message,
    Prompt,
    PromptTemplate,
    answer_ids,
    check_text,
    example_ids,
    fit_prompt,
    messages,
)

__all__ = [
    "COLUMNS",
    "Base",
    "DecoderOnly",
    "Message",
    "Pair",
    "Prompt",
    "PromptTemplate",
    "Rows",
    "Step",
    "Window",
    "address",
    "answer_ids",
    "check_text",
    "completions",
    "example_ids",
    "explain_answer",
    "family_of",
    "family_of_task",
    "figures",
    "fit_both",
    "fit_prompt",
    "history",
    "identify",
    "kind_of",
    "load_base",
    "load_pair",
    "load_tokenizer",
    "messages",
    "named",
    "parts",
    "stream_tokens",
    "text_of",
    "tokens_of_both",
    "turn",
]
