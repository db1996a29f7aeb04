"""Training: examples become a LoRA adapter, with checkpoints that resume and optional tracking."""

from train.fit.adapter import check_init
from train.fit.memory import check_device
from train.fit.tracking import check_tracking, track_evaluation
from train.fit.training import fit, is_done

__all__ = ["check_device", "check_init", "check_tracking", "fit", "is_done", "track_evaluation"]
