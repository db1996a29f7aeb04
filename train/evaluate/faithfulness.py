"""What an answer does with what it rests on: how much of it is supported, invented, contradicted, copied or repeated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

import datasets
import evaluate

from space.catalogue import QUESTION_WORDS, normalise
from space.evidence import CITATION, NUMBER, normalise_number

GRAM = 4  # words; an answer that says as many again says nothing new
MEASURED = re.compile(
    rf"({NUMBER.pattern})\s*([^\W\d_]+|%)"
)  # a number and its unit: "1.5 kg", "20 pages"
NAME = re.compile(
    r"(?<![.!?…:]\s)(?<!^)(?<!\w)[A-ZÀ-Þ][\w'’-]+"
)  # a capital where no sentence begins
FEATURES = datasets.Features(
    {name: datasets.Value("string") for name in ("predictions", "references", "questions")}
)


class Fidelity(evaluate.Metric):
    """What an answer says against what it may rest on, one value of each kind an item.

    References are evidence: the records in the prompt, the record asked about, or the text to summarize. What the question
    says may be said again. See supported(), invented_numbers(), invented_names(), contradicted() and copied_run().
    """

    def _info(self):
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="Grusky et al. 2018; Carlini et al. 2023",
            features=FEATURES,
        )

    def _compute(self, predictions, references, questions):
        rows = list(
            zip(
                [CITATION.sub("", said) for said in predictions], references, questions, strict=True
            )
        )
        return {
            "supported": [
                supported(said, f"{evidence} {question}") for said, evidence, question in rows
            ],
            "invented_numbers": [
                invented_numbers(said, f"{evidence} {question}")
                for said, evidence, question in rows
            ],
            "invented_names": [
                invented_names(said, f"{evidence} {question}") for said, evidence, question in rows
            ],
            "contradicted": [contradicted(said, evidence) for said, evidence, _ in rows],
            "copied_run": [copied_run(said, evidence) for said, evidence, _ in rows],
        }


class Form(evaluate.Metric):
    """How an answer is built, its length beside its reference's; one value of each kind an item.

    See length_ratio() and repetition().
    """

    def _info(self):
        features = datasets.Features(
            {name: datasets.Value("string") for name in ("predictions", "references")}
        )
        return evaluate.MetricInfo(
            description=self.__doc__, citation="Welleck et al. 2020", features=features
        )

    def _compute(self, predictions, references):
        rows = list(zip(predictions, references, strict=True))
        return {
            "length_ratio": [length_ratio(said, reference) for said, reference in rows],
            "repetition": [repetition(said) for said, _ in rows],
        }


def supported(said: str, evidence: str) -> float:
    """Returns the share of an answer's telling words that the evidence has; 0 for an answer that tells nothing.

    Words as normalise() leaves them, those that only ask left out: the coverage of Grusky et al. (2018, section 4.1), word
    by word.
    """
    told, known = _telling(said), set(_telling(evidence))
    return sum(word in known for word in told) / len(told) if told else 0.0


def invented_numbers(said: str, evidence: str) -> float:
    """Returns the share of an answer's numbers that are not in the evidence; 0 for an answer without one."""
    told, known = _numbers(said), set(_numbers(evidence))
    return sum(number not in known for number in told) / len(told) if told else 0.0


def invented_names(said: str, evidence: str) -> float:
    """Returns the share of an answer's capitalised words, those that begin a sentence aside, that are not in the evidence.

    0 for an answer without one.
    """
    told, known = [normalise(name) for name in NAME.findall(said)], f" {normalise(evidence)} "
    return sum(f" {name} " not in known for name in told) / len(told) if told else 0.0


def contradicted(said: str, evidence: str) -> float:
    """Returns the share of an answer's measured numbers ("3 kg") for whose unit the evidence has other numbers alone.

    0 for an answer that measures nothing.
    """
    known: dict[str, set[str]] = {}
    for number, unit in _measured(evidence):
        known.setdefault(unit, set()).add(number)
    told = _measured(said)
    return (
        sum(number not in known.get(unit, {number}) for number, unit in told) / len(told)
        if told
        else 0.0
    )


def copied_run(said: str, evidence: str) -> float:
    """Returns the words of the longest run that an answer has in common with the evidence, in one piece.

    From memory alone, of a record that was trained on, it is what was memorised verbatim (Carlini et al. 2023).
    """
    ours, theirs = normalise(said).split(), normalise(evidence).split()
    return float(SequenceMatcher(None, ours, theirs, autojunk=False).find_longest_match().size)


def length_ratio(said: str, reference: str) -> float:
    """Returns an answer's words over its reference's; NaN where the reference has none."""
    wanted = len(reference.split())
    return len(said.split()) / wanted if wanted else float("nan")


def repetition(said: str) -> float:
    """Returns the share of an answer's four-word sequences that it had said before (seq-rep-4, Welleck et al. 2020)."""
    words = said.lower().split()
    grams = [tuple(words[place : place + GRAM]) for place in range(len(words) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _telling(text: str) -> list[str]:
    plain = NUMBER.sub(lambda found: normalise_number(found[0]), text)
    return [word for word in normalise(plain).split() if word not in QUESTION_WORDS]


def _numbers(text: str) -> list[str]:
    return [normalise_number(number) for number in NUMBER.findall(text)]


def _measured(text: str) -> Sequence[tuple[str, str]]:
    return [(normalise_number(number), normalise(unit)) for number, unit in MEASURED.findall(text)]
