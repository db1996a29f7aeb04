"""What the base could do before: 60 small instructions without a catalogue, and exact rules."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from train.examples import Example

KEPT = "kept"  # the set
ANSWER_TOKENS = 32  # a base says what is asked within these, or talks on


@dataclass(frozen=True)
class Instruction:
    """A question, one right answer to it, and the rule that recognises others.

    An answer is right if it has `times` different matches of `pattern`, without regard to case.
    """

    text: str
    reference: str
    pattern: str
    times: int = 1


def _one(text: str, reference: str, words: str = "") -> Instruction:
    """Ask for one of several words, anywhere in the answer."""
    return Instruction(text, reference, rf"\b(?:{words or re.escape(reference)})\b")


def _first(text: str, reference: str, word: str) -> Instruction:
    """Ask for a word that the answer begins with."""
    return Instruction(text, reference, rf"^\W*{word}\b")


def _sum(text: str, result: int, written: str) -> Instruction:
    """Ask for a number, alone or after "=" or a verb."""
    number = rf"(?:{result}|{written})"
    pattern = rf"(?:=|\bis|\bare|\bé|\bsão)\s*{number}\b|^\W*{number}\b"
    return Instruction(text, str(result), pattern)


def _three(text: str, reference: str, words: str) -> Instruction:
    """Ask for three different words of a kind."""
    return Instruction(text, reference, rf"\b(?:{words})\b", times=3)


# Some of them a base of 135 million parameters gets wrong: what it gains is seen too.
ENGLISH = (
    _sum("What is 2 + 3?", 5, "five"),
    _one("What is the capital of France?", "Paris"),
    _first("Is fire cold? Answer yes or no.", "No", "no"),
    _three(
        "Name three planets.",
        "Mars, Venus, Earth.",
        "mercury|venus|earth|mars|jupiter|saturn|uranus|neptune",
    ),
    _one("Translate to French: good morning", "bonjour"),
    _one("What is the first letter of the word music?", "m"),
    _first("Say hello.", "Hello!", "hello"),
    _one("How many days are in a week?", "7", "7|seven"),
    _one("What is the opposite of fast?", "slow"),
    _one("What colour is the sky on a clear day?", "blue"),
    _sum("What is 7 + 5?", 12, "twelve"),
    _one("What is the capital of Italy?", "Rome"),
    _first("Can a stone read? Answer yes or no.", "No", "no"),
    _three(
        "Name three days of the week.",
        "Monday, Tuesday, Friday.",
        "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    ),
    _one("What is the capital of Greece?", "Athens"),
    _one("What is the first letter of the word sun?", "s"),
    _one("What is the plural of cat?", "cats"),
    _one("How many legs does a spider have?", "8", "8|eight"),
    _one("What is the opposite of up?", "down"),
    _one("What is the plural of dog?", "dogs"),
    _sum("What is 3 times 4?", 12, "twelve"),
    _one("What is the capital of Japan?", "Tokyo"),
    _one("What is the capital of China?", "Beijing"),
    _three(
        "Name three colours.",
        "Red, blue, green.",
        "red|blue|green|yellow|black|white|orange|purple|pink|brown|gr[ae]y|violet",
    ),
    _one("What is the opposite of wet?", "dry"),
    _one("How many years are in a century?", "100", "100|hundred"),
    _one("What is the opposite of big?", "small", "small|little|tiny"),
    _one("Which ocean lies between Europe and America?", "the Atlantic", "atlantic"),
    _one("What is half of 20?", "10", "10|ten"),
    _one("What is the capital of Germany?", "Berlin"),
    _one("What is the first letter of the word table?", "t"),
    _one("What colour is snow?", "white"),
    _one("What is the opposite of true?", "false"),
    _one("What is the opposite of day?", "night"),
    _one("Who wrote Romeo and Juliet?", "William Shakespeare", "shakespeare"),
    _one("Who painted the Mona Lisa?", "Leonardo da Vinci", "leonardo|da vinci"),
    _one("What is the capital of India?", "New Delhi", "delhi"),
    _one("What is frozen water called?", "ice"),
    _one("What is the opposite of left?", "right"),
    _one("At what temperature in degrees Celsius does water boil?", "100"),
    _one("What is the capital of Russia?", "Moscow"),
    _one("What is the capital of Spain?", "Madrid"),
    _one("What is the opposite of open?", "closed", "closed?|shut"),
    _one("What is the capital of Austria?", "Vienna"),
    _one("Complete the sentence with one word: The opposite of black is", "white"),
)
PORTUGUESE = (
    _sum("Quanto é 3 + 4?", 7, "sete"),
    _one("Qual é a capital da França?", "Paris"),
    _first("Peixes nadam? Responda sim ou não.", "Sim", "sim"),
    _one("Traduza para o inglês: livro", "book"),
    _sum("Quanto é 10 - 5?", 5, "cinco"),
    _one("Qual é a cor do céu?", "azul"),
    _first("Repita a palavra lua.", "lua", "lua"),
    _one("Traduza para o inglês: gato", "cat"),
    _sum("Quanto é 1 + 1?", 2, "dois"),
    _three(
        "Cite três cores.",
        "Vermelho, azul, verde.",
        "vermelh[oa]|azul|verde|amarel[oa]|pret[oa]|branc[oa]|laranja|rox[oa]|rosa|marrom|cinza",
    ),
    _first("O gelo é quente? Responda sim ou não.", "Não", "n[ãa]o"),
    _one("Como se diz água em inglês?", "water"),
    _sum("Quanto é 5 + 3?", 8, "oito"),
    _one("Quantos dias tem uma semana?", "7", "7|sete"),
    _sum("Quanto é 5 + 5?", 10, "dez"),
)


def _in_turn() -> list[Instruction]:
    """Put a Portuguese instruction after every three English ones."""
    ordered: list[Instruction] = []
    for index, portuguese in enumerate(PORTUGUESE):
        ordered += [*ENGLISH[3 * index : 3 * index + 3], portuguese]
    return ordered


INSTRUCTIONS = _in_turn()
_BY_TEXT = {each.text: each for each in INSTRUCTIONS}


def kept_examples(items: int) -> list[Example]:
    """Make the first `items` instructions examples: plain questions without records."""
    return [
        Example("describe", each.text, each.reference, f"{KEPT}-{index}")
        for index, each in enumerate(INSTRUCTIONS[:items])
    ]


def kept(answer: str, question: str) -> dict[str, float]:
    """Score 1 where an answer obeys its instruction.

    NaN for an instruction that is not in this version.
    """
    instruction = _BY_TEXT.get(question)
    if instruction is None:
        return {"kept": math.nan}
    found = re.findall(instruction.pattern, answer.lower(), re.IGNORECASE)
    return {"kept": float(len(set(found)) >= instruction.times)}
