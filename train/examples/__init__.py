"""TODO"""

from train.examples.examples import Example, Examples
from train.examples.few_shot import worked
from train.examples.summaries import FEWEST

__all__ = ["FEWEST", "Example", "Examples", "worked"]
