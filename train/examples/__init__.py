"""Turn records into examples: what is trained, what is scored, and proof that they never mix."""

from train.examples.examples import Example, Examples
from train.examples.facts import FACT_WORDS
from train.examples.few_shot import add_few_shot
from train.examples.general import general_questions
from train.examples.summaries import MIN_SENTENCES

__all__ = [
    "FACT_WORDS",
    "MIN_SENTENCES",
    "Example",
    "Examples",
    "add_few_shot",
    "general_questions",
]
