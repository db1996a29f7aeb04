"""TODO"""

from train.fit.adapter import check_init

__all__ = ["check_init"]
