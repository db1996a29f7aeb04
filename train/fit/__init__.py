"""TODO"""

from train.fit.lora import check_init

__all__ = ["check_init"]
