"""From a run to the Hub: model cards, adapters, catalogues, Spaces and rented jobs.

Everything is checked before the first byte is sent, and every call may be repeated.
"""

from train.publish.card import MERGED_TEMPLATE, adapter_card, base_file, base_licence, fill_card
from train.publish.deploy import deploy_space
from train.publish.hub import CHECKPOINT, redacted, send
from train.publish.rent import rent_machine
from train.publish.upload import publish

__all__ = [
    "CHECKPOINT",
    "MERGED_TEMPLATE",
    "adapter_card",
    "base_file",
    "base_licence",
    "deploy_space",
    "fill_card",
    "publish",
    "redacted",
    "rent_machine",
    "send",
]
