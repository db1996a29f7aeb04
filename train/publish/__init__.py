"""From a run to the Hub: model cards, adapters, catalogues, Spaces and rented jobs.

Everything is checked before the first byte is sent, and every call may be repeated.
"""

from train.publish.card import MERGED_TEMPLATE, adapter_card, base_file, base_licence, fill_card
from train.publish.deploy import deploy_space
from train.publish.hub import CHECKPOINT, RepoInfo, ask_hub, hub_api, redacted, repo_info, send
from train.publish.rent import rent_machine
from train.publish.upload import publish

__all__ = [
    "CHECKPOINT",
    "MERGED_TEMPLATE",
    "RepoInfo",
    "adapter_card",
    "ask_hub",
    "base_file",
    "base_licence",
    "deploy_space",
    "fill_card",
    "hub_api",
    "publish",
    "redacted",
    "rent_machine",
    "repo_info",
    "send",
]
