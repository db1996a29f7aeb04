"""Metrics of one answer as plain functions, wrapped once for `evaluate`, and each item's scores."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

import datasets
import evaluate
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu import sentence_bleu, sentence_chrf

from space.catalogue import QUESTION_WORDS, detect_language, normalise
from space.evidence import CITATION, NUMBER, normalise_number
from space.model import PromptTemplate
from train.evaluate.kept import KEPT, kept
from train.evaluate.samples import Answer, ScoredItem
from train.examples import FACT_WORDS

GRAM = 4  # words; an answer that repeats as many says nothing new
SPELLED_ALIKE = 0.8  # of the letters of two titles, from which on one is the other misspelled
LOOPING = 0.5  # of an answer's four-word sequences; one that repeats more is never right
DIGITS = 6  # of a score in samples.jsonl
# A number and its unit: "1.5 kg", "20 pages".
MEASURED = re.compile(rf"({NUMBER.pattern})\s*([^\W\d_]+|%)")
# A capital where no sentence begins.
NAME = re.compile(r"(?<![.!?…:]\s)(?<!^)(?<!\w)[A-ZÀ-Þ][\w'’-]+")


class ItemMetric(evaluate.Metric):
    """Make a function of one prediction an `evaluate` metric.

    compute() returns a list for each of its scores.

    The function takes a prediction, a reference and the other `inputs`, named with their types.
    """

    def __init__(self, measure: Callable[..., Mapping[str, float]], **inputs: str) -> None:
        self.measure = measure
        self.inputs = {"predictions": "string", "references": "string"} | inputs
        super().__init__()

    def _info(self) -> evaluate.MetricInfo:
        features = {name: datasets.Value(kind) for name, kind in self.inputs.items()}
        return evaluate.MetricInfo(
            description=self.measure.__doc__ or "",
            citation="",
            features=datasets.Features(features),
        )

    def _compute(self, *, predictions=None, references=None, **more):
        columns = {"predictions": predictions, "references": references} | more
        inputs = [columns.pop(name) for name in self.inputs]
        rows = [self.measure(*row, **columns) for row in zip(*inputs, strict=True)]
        scores = {}
        for name in rows[0]:
            scores[name] = [row[name] for row in rows]
        return scores


# --- an answer beside its reference ---


class UnicodeTokenizer(Tokenizer):
    """Words without accents, so that "ação" is one word and not two pieces of one."""

    def tokenize(self, text: str) -> list[str]:
        """Split a text into normalised words."""
        return normalise(text).split()


def similarity(answer: str, reference: str) -> dict[str, float]:
    """Compare an answer with its reference in words and in form.

    ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004): F-measure, no stemming, rouge_score's own tokenizer.
    BLEU (Papineni et al. 2002) and chrF (Popovic 2015) of the answer alone, 0 to 1, by sacrebleu.
    """
    rouge = _rouge().score(reference, answer)
    return {
        **{name: score.fmeasure for name, score in rouge.items()},
        "bleu": sentence_bleu(answer, [reference]).score / 100,
        "chrf": sentence_chrf(answer, [reference]).score / 100,
        "token_f1": token_f1(answer, reference),
        "length_ratio": length_ratio(answer, reference),
        "repetition": repetition(answer),
    }


def similarity_unicode(answer: str, reference: str) -> dict[str, float]:
    """Compute ROUGE-L over words without accents: rouge_score splits Portuguese words."""
    return {"rougeL_unicode": _rouge_unicode().score(reference, answer)["rougeL"].fmeasure}


@functools.cache
def _rouge() -> RougeScorer:
    return RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)


@functools.cache
def _rouge_unicode() -> RougeScorer:
    return RougeScorer(["rougeL"], tokenizer=UnicodeTokenizer())


def token_f1(answer: str, reference: str) -> float:
    """Compute the F-measure of two bags of words.

    SQuAD's, of Rajpurkar et al. (2016, section 6). Accents and case do not count.
    """
    ours, theirs = normalise(answer).split(), normalise(reference).split()
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


def length_ratio(answer: str, reference: str) -> float:
    """Divide an answer's words by its reference's, NaN for an empty one."""
    wanted = len(reference.split())
    return len(answer.split()) / wanted if wanted else math.nan


def repetition(answer: str) -> float:
    """Compute the share of four-word sequences that repeat an earlier one.

    It is the seq-rep-4 of Welleck et al. (2020).
    """
    words = answer.lower().split()
    grams = [tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


# --- an answer beside the records in its prompt ---


def citation(answer: str, position: int, record: str, question: str) -> dict[str, float]:
    """Score whether an answer cites the right record and is right.

    `position` is the record's in the prompt, from 1, and `record` its title and content.
    `source_right` needs that record cited and no other, beside a word that the record has and the
    question lacks: "[1]" alone cites nothing. `right` needs more: each number and name is in the
    record, and the answer does not loop.
    """
    cited = {int(number) for number in CITATION.findall(answer)}
    text = CITATION.sub("", answer)
    new_words = set(_content_words(text)) - set(_content_words(question))
    source_right = cited == {position} and bool(new_words & set(_content_words(record)))
    invented = invented_numbers(text, record) or invented_names(text, record)
    right = source_right and not invented and repetition(text) <= LOOPING
    return {"right": float(right), "source_right": float(source_right)}


def abstention(answer: str, title: str, absent: Mapping[str, str]) -> dict[str, float]:
    """Score 1 where an answer says that a title is not there.

    `absent` has the prompt template's sentences, one for each language, with or without {title}.
    Of a title four fifths of the letters are enough; accents, case and punctuation do not count.
    """
    return {"says_absent": float(says_absent(answer, title, absent))}


def says_absent(answer: str, title: str, absent: Mapping[str, str]) -> bool:
    """Tell whether an answer has one of the sentences, with the title."""
    words, asked = _words(answer), _words(title)
    return any(_says(words, sentence, asked) for sentence in absent.values())


def _says(words: str, sentence: str, asked: str) -> bool:
    if "{title}" not in sentence:
        return f" {_words(sentence)} " in f" {words} "
    before, after = (_words(part) for part in sentence.split("{title}", 1))
    _, found, rest = f" {words} ".partition(f" {before} " if before else " ")
    if after:
        named, end, _ = rest.partition(f" {after} ")
    else:
        named, end = rest[: len(asked)], " "
    # Where the title comes first, other words may stand before it.
    named = named.strip() if before else named[-len(asked) :]
    alike = SequenceMatcher(None, named, asked).ratio() >= SPELLED_ALIKE
    return bool(found and end and alike)


def _words(text: str) -> str:
    # normalise() leaves a lone full stop as it is.
    return " ".join(re.findall(r"\w+", normalise(text)))


# --- an answer to a question for a fact ---

# One spelling for each unit, and digits for the numbers that records spell out.
SPELLINGS = {
    **dict.fromkeys(("gram", "grams", "grama", "gramas"), "g"),
    **dict.fromkeys(("kilogram", "kilograms", "kilo", "kilos", "quilo", "quilos"), "kg"),
    **dict.fromkeys(("centimetres", "centimeters", "centimetros"), "cm"),
    **dict.fromkeys(("millimetres", "millimeters", "milimetros"), "mm"),
    **dict.fromkeys(("metres", "meters", "metros", "metre", "meter", "metro"), "m"),
    **dict.fromkeys(("litre", "litres", "liter", "liters", "litro", "litros"), "l"),
    **dict.fromkeys(("ounce", "ounces"), "oz"),
}
SPELLED = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen",
    "dois tres quatro cinco seis sete oito nove dez onze doze treze quatorze quinze",
)
for words in SPELLED:
    SPELLINGS |= {word: str(number) for number, word in enumerate(words.split(), start=2)}
YES_OR_NO = frozenset(("yes", "no", "sim", "nao"))
# "The record does not say how heavy it is", and what a base says instead.
DOES_NOT_SAY = re.compile(
    r"\b(?:does|do|did) ?n(?:o|')t (?:say|mention|state|tell|specify|give|provide|include)\b"
    r"|\bnot (?:stated|mentioned|given|specified|provided)\b"
    r"|\bn[aã]o (?:dizem|diz|mencionam?|informam?|falam?|consta|especificam?|est[aá] no regi"
    r"stro)\b",
    re.IGNORECASE,
)


def stated(answer: str, reference: str, question: str, expected: str) -> dict[str, float]:
    """Score an answer to a question for a fact.

    `expected` are values in lines. The answer is right if it has each of them, in digits or words
    and with its unit, cites the reference's records and no other, begins with its yes or no, and
    has no number, name, material or colour that neither values nor question have.
    """
    text = CITATION.sub("", answer)
    ours, theirs = _plain(text), _plain(CITATION.sub("", reference))
    known = f"{_plain(expected)} {_plain(question)}"
    right = (
        all(f" {_plain(value)} " in f" {ours} " for value in expected.split("\n"))
        and set(CITATION.findall(answer)) == set(CITATION.findall(reference))
        and _yes_or_no(ours) == _yes_or_no(theirs)
        and set(re.findall(r"\d[\d.]*", ours)) <= set(re.findall(r"\d[\d.]*", known))
        and not invented_names(text, f"{expected} {question} {reference}")
        and FACT_WORDS.intersection(ours.split()) <= set(known.split())
    )
    return {"right": float(right)}


def unstated(answer: str, reference: str, question: str) -> dict[str, float]:
    """Score an answer to a question for an unstated fact.

    It is right if it has the reference's sentence or another that says so, cites the reference's
    record and no other, and has no number that the question lacks.
    """
    text = CITATION.sub("", answer)
    says = _plain(CITATION.sub("", reference)) in _plain(text) or DOES_NOT_SAY.search(text)
    right = (
        bool(says)
        and set(CITATION.findall(answer)) == set(CITATION.findall(reference))
        and set(_numbers(text)) <= set(_numbers(question))
    )
    return {"right": float(right)}


def _plain(text: str) -> str:
    """Write a text's words, numbers and units in one spelling."""
    numbers = NUMBER.sub(lambda found: f" {normalise_number(found[0]).replace('.', '·')} ", text)
    words = normalise(numbers.replace("·", "8point8")).split()
    return " ".join(SPELLINGS.get(word, word).replace("8point8", ".") for word in words)


def _yes_or_no(words: str) -> str:
    first = words.split(" ", 1)[0]
    return first if first in YES_OR_NO else ""


# --- an answer beside its evidence ---


def faithfulness(answer: str, evidence: str, question: str) -> dict[str, float]:
    """Compare an answer with its evidence: what is supported, invented, contradicted, copied.

    Evidence is the records in the prompt, the record asked about, or the text to summarize; an
    answer may repeat what the question says.
    """
    answer = CITATION.sub("", answer)
    known = f"{evidence} {question}"
    return {
        "supported": supported(answer, known),
        "invented_numbers": invented_numbers(answer, known),
        "invented_names": invented_names(answer, known),
        "contradicted": contradicted(answer, evidence),
        "copied_run": copied_run(answer, evidence),
    }


def supported(answer: str, evidence: str) -> float:
    """Compute the share of an answer's content words that the evidence has.

    0 for an answer without any. Words as normalise() leaves them, without question words: the
    coverage of Grusky et al. (2018,
    section 4.1), word by word.
    """
    words, known = _content_words(answer), set(_content_words(evidence))
    return sum(word in known for word in words) / len(words) if words else 0.0


def invented_numbers(answer: str, evidence: str) -> float:
    """Compute the share of an answer's numbers that the evidence lacks.

    0 for an answer without any.
    """
    numbers, known = _numbers(answer), set(_numbers(evidence))
    return sum(number not in known for number in numbers) / len(numbers) if numbers else 0.0


def invented_names(answer: str, evidence: str) -> float:
    """Compute the share of an answer's names that the evidence lacks.

    0 for an answer without any. A name is a capitalised word that begins no sentence.
    """
    names, known = [normalise(name) for name in NAME.findall(answer)], f" {normalise(evidence)} "
    return sum(f" {name} " not in known for name in names) / len(names) if names else 0.0


def contradicted(answer: str, evidence: str) -> float:
    """Compute the share of measured numbers that the evidence contradicts.

    It has their unit with other numbers only: "3 kg", where it says "2 kg". 0 for an answer that
    measures nothing.
    """
    known: dict[str, set[str]] = {}
    for number, unit in _measurements(evidence):
        known.setdefault(unit, set()).add(number)
    measured = _measurements(answer)
    wrong = sum(number not in known.get(unit, {number}) for number, unit in measured)
    return wrong / len(measured) if measured else 0.0


def copied_run(answer: str, evidence: str) -> float:
    """Count the words of the longest run shared with the evidence.

    From memory alone, of a record that was trained on, it is what was memorised verbatim (Carlini
    et al. 2023).
    """
    ours, theirs = normalise(answer).split(), normalise(evidence).split()
    return float(SequenceMatcher(None, ours, theirs, autojunk=False).find_longest_match().size)


def _content_words(text: str) -> list[str]:
    plain = NUMBER.sub(lambda found: normalise_number(found[0]), text)
    return [word for word in normalise(plain).split() if word not in QUESTION_WORDS]


def _numbers(text: str) -> list[str]:
    return [normalise_number(number) for number in NUMBER.findall(text)]


def _measurements(text: str) -> list[tuple[str, str]]:
    return [(normalise_number(number), normalise(unit)) for number, unit in MEASURED.findall(text)]


# --- the scores of every item ---


def score_items(
    items: Sequence[ScoredItem], prompt_template: PromptTemplate | None = None
) -> list[ScoredItem]:
    """Score every item's answers and return the items with their scores.

    `prompt_template` is the adapter's, whose sentences say that something is absent.
    """
    absent = (prompt_template or PromptTemplate()).absent
    sets: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        sets.setdefault(item.set, []).append(index)
    scores: list[dict[str, dict[str, float]]] = [{} for _ in items]
    for indices in sets.values():
        members = [items[index] for index in indices]
        for column in members[0].answers:
            for index in indices:
                scores[index][column] = {}
            for metric, values in _set_scores(members, column, absent).items():
                for index, value in zip(indices, values, strict=True):
                    if not math.isnan(value):
                        scores[index][column][metric] = round(value, DIGITS)
    return [replace(item, scores=own) for item, own in zip(items, scores, strict=True)]


def _set_scores(
    items: Sequence[ScoredItem], column: str, absent: Mapping[str, str]
) -> dict[str, Sequence[float]]:
    """Score one column of one set: {metric: a value for each item}.

    A metric is NaN where it does not apply to an item: rougeL_unicode is of Portuguese alone. A
    column without a model, or whose model failed on an item, has no loss.
    """
    answers = [item.answers[column] for item in items]
    texts = [answer.text for answer in answers]
    references = [item.reference for item in items]
    evidence = [item.evidence for item in items]
    scores: dict[str, Sequence[float]] = {}
    if items[0].set == KEPT:
        # Their references are one answer of many: words shared with them mean nothing.
        scores |= _compute(ItemMetric(kept), texts, [item.question for item in items])
        scores["repetition"] = [repetition(text) for text in texts]
        return scores | _as_generated(answers)
    scores |= _compute(ItemMetric(similarity), texts, references)
    portuguese = [detect_language(reference) == "pt" for reference in references]
    if any(portuguese):
        found = _compute(ItemMetric(similarity_unicode), texts, references)["rougeL_unicode"]
        scores["rougeL_unicode"] = [
            value if applies else math.nan for value, applies in zip(found, portuguese, strict=True)
        ]
    if all(evidence):
        questions = [item.question for item in items]
        metric = ItemMetric(faithfulness, questions="string")
        scores |= _compute(metric, texts, evidence, questions=questions)
    if items[0].set == "grounded":
        positions = [list(item.sources).index(item.uid) + 1 for item in items]
        metric = ItemMetric(citation, references="int32", records="string", questions="string")
        records = [_own_record(item) for item in items]
        questions = [item.question for item in items]
        scores |= _compute(metric, texts, positions, records=records, questions=questions)
    if items[0].set in ("grounded", "absent"):
        titles = [item.title for item in items]
        scores |= _compute(ItemMetric(abstention), texts, titles, absent=absent)
    if items[0].set in ("asked", "unstated"):
        scores |= _fact_scores(items, texts, references)
    if items[0].set == "absent":
        scores["right"] = scores["says_absent"]
    return scores | _as_generated(answers)


def _fact_scores(
    items: Sequence[ScoredItem], texts: Sequence[str], references: Sequence[str]
) -> dict[str, list[float]]:
    questions = [item.question for item in items]
    if items[0].set == "unstated":
        metric = ItemMetric(unstated, questions="string")
        return _compute(metric, texts, references, questions=questions)
    metric = ItemMetric(stated, questions="string", expected="string")
    values = ["\n".join(item.expected) for item in items]
    return _compute(metric, texts, references, questions=questions, expected=values)


def _as_generated(answers: Sequence[Answer]) -> dict[str, Sequence[float]]:
    """Return what was measured while a model answered."""
    scores: dict[str, Sequence[float]] = {}
    if all(answer.ended is not None for answer in answers):
        scores["ended"] = [float(bool(answer.ended)) for answer in answers]
    losses = [math.nan if answer.loss is None else answer.loss for answer in answers]
    if all(map(math.isfinite, losses)):
        scores["loss"] = losses
    return scores


def _own_record(item: ScoredItem) -> str:
    """Find the record asked about in the evidence."""
    lines = item.evidence.split("\n")
    if len(lines) != len(item.sources):  # a content of several lines
        return item.evidence
    return lines[list(item.sources).index(item.uid)]


def _compute(
    metric: ItemMetric, predictions: Sequence[str], references: Sequence, **more
) -> dict[str, list[float]]:
    found = metric.compute(predictions=predictions, references=references, **more)
    assert found is not None, "only another process of many returns nothing"
    return found
