"""What an answer is measured by: `evaluate` metrics that give one number an item and need no network."""

from __future__ import annotations

from collections import Counter

import datasets
import evaluate
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu import sentence_bleu, sentence_chrf

from space.catalogue import normalise
from space.evidence import CITATION, says_absent

FEATURES = datasets.Features(
    {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
)


class UnicodeTokenizer(Tokenizer):
    """Words without accents, so that "ação" is one word and not two pieces of one."""

    def tokenize(self, text: str) -> list[str]:
        """Returns the normalised words of a text."""
        return normalise(text).split()


class Rouge(evaluate.Metric):
    """ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004): F-measure, no stemming, rouge_score's own tokenizer."""

    def _info(self):
        return evaluate.MetricInfo(description=self.__doc__, citation="Lin 2004", features=FEATURES)

    def _compute(self, predictions, references):
        scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
        scores = [
            scorer.score(reference, said)
            for said, reference in zip(predictions, references, strict=True)
        ]
        return {
            name: [score[name].fmeasure for score in scores]
            for name in ("rouge1", "rouge2", "rougeL")
        }


class UnicodeRouge(evaluate.Metric):
    """ROUGE-L over words without accents: the one to quote for Portuguese, whose words rouge_score splits."""

    def _info(self):
        return evaluate.MetricInfo(description=self.__doc__, citation="Lin 2004", features=FEATURES)

    def _compute(self, predictions, references):
        scorer = RougeScorer(["rougeL"], tokenizer=UnicodeTokenizer())
        return {
            "rougeL_unicode": [
                scorer.score(reference, said)["rougeL"].fmeasure
                for said, reference in zip(predictions, references, strict=True)
            ]
        }


class TokenF1(evaluate.Metric):
    """The F-measure of two answers' words as bags, accents and case aside (SQuAD, Rajpurkar et al. 2016, section 6)."""

    def _info(self):
        return evaluate.MetricInfo(
            description=self.__doc__, citation="Rajpurkar et al. 2016", features=FEATURES
        )

    def _compute(self, predictions, references):
        return {
            "token_f1": [
                token_f1(said, reference)
                for said, reference in zip(predictions, references, strict=True)
            ]
        }


def token_f1(said: str, reference: str) -> float:
    """Returns the share of words that two texts have in common, 0 to 1."""
    ours, theirs = normalise(said).split(), normalise(reference).split()
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


class Bleu(evaluate.Metric):
    """BLEU of each answer by itself, 0 to 1 (Papineni et al. 2002): sacrebleu's sentence score and its own tokenizer."""

    def _info(self):
        return evaluate.MetricInfo(
            description=self.__doc__, citation="Papineni et al. 2002; Post 2018", features=FEATURES
        )

    def _compute(self, predictions, references):
        return {
            "bleu": [
                sentence_bleu(said, [reference]).score / 100
                for said, reference in zip(predictions, references, strict=True)
            ]
        }


class ChrF(evaluate.Metric):
    """chrF of each answer by itself, 0 to 1 (Popovic 2015): character n-grams, so that an ending does not cost a word."""

    def _info(self):
        return evaluate.MetricInfo(
            description=self.__doc__, citation="Popovic 2015; Post 2018", features=FEATURES
        )

    def _compute(self, predictions, references):
        return {
            "chrf": [
                sentence_chrf(said, [reference]).score / 100
                for said, reference in zip(predictions, references, strict=True)
            ]
        }


class SourceRight(evaluate.Metric):
    """Whether an answer cites the right record and no other: 1 or 0.

    References are the positions of the right records, from 1. An answer without a citation is wrong, and so is one that
    also cites another record, or a position at which there is none.
    """

    def _info(self):
        features = datasets.Features(
            {"predictions": datasets.Value("string"), "references": datasets.Value("int32")}
        )
        return evaluate.MetricInfo(description=self.__doc__, citation="", features=features)

    def _compute(self, predictions, references):
        return {
            "source_right": [
                float({int(position) for position in CITATION.findall(said)} == {right})
                for said, right in zip(predictions, references, strict=True)
            ]
        }


class SaysAbsent(evaluate.Metric):
    """Whether an answer says that the catalogue does not have the title asked about: 1 or 0.

    References are titles; `absent` has the wording's sentences, one for each language, with or without {title}. Of a title
    four fifths of the letters are enough; accents, case and punctuation do not count.
    """

    def _info(self):
        return evaluate.MetricInfo(description=self.__doc__, citation="", features=FEATURES)

    def _compute(self, predictions, references, absent):
        return {
            "says_absent": [
                float(says_absent(said, title, absent))
                for said, title in zip(predictions, references, strict=True)
            ]
        }
