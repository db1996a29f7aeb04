"""What an answer is measured by: `evaluate` metrics that give one number an item and need no network."""

from __future__ import annotations

from collections import Counter

import datasets
import evaluate
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from space.sources import normalise

FEATURES = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})


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
        scores = [scorer.score(reference, said) for said, reference in zip(predictions, references, strict=True)]
        return {name: [score[name].fmeasure for score in scores] for name in ("rouge1", "rouge2", "rougeL")}


class UnicodeRouge(evaluate.Metric):
    """ROUGE-L over words without accents: the one to quote for Portuguese, whose words rouge_score splits."""

    def _info(self):
        return evaluate.MetricInfo(description=self.__doc__, citation="Lin 2004", features=FEATURES)

    def _compute(self, predictions, references):
        scorer = RougeScorer(["rougeL"], tokenizer=UnicodeTokenizer())
        return {"rougeL_unicode": [scorer.score(reference, said)["rougeL"].fmeasure
                                   for said, reference in zip(predictions, references, strict=True)]}


class TokenF1(evaluate.Metric):
    """The F-measure of two answers' words as bags, accents and case aside (SQuAD, Rajpurkar et al. 2016, section 6)."""

    def _info(self):
        return evaluate.MetricInfo(description=self.__doc__, citation="Rajpurkar et al. 2016", features=FEATURES)

    def _compute(self, predictions, references):
        return {"token_f1": [token_f1(said, reference)
                             for said, reference in zip(predictions, references, strict=True)]}


def token_f1(said: str, reference: str) -> float:
    """Returns the share of words that two texts have in common, 0 to 1."""
    ours, theirs = normalise(said).split(), normalise(reference).split()
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0
