"""TODO"""

from train.fit.lora import check_init
from train.fit.qlora import stored_config

__all__ = ["check_init", "stored_config"]
