"""TODO"""

from train.publish.card import fill_card
from train.publish.deploy import deploy
from train.publish.hub import CHECKPOINT, redacted, send
from train.publish.origin import base_file, base_licence
from train.publish.rent import rent
from train.publish.upload import publish

__all__ = [
    "CHECKPOINT",
    "base_file",
    "base_licence",
    "deploy",
    "fill_card",
    "publish",
    "redacted",
    "rent",
    "send",
]
