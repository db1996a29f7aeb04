"""Numbers from inside the loaded models, as plain data: what the tab How it works shows."""

from space.model.inside.adapter_change import (
    STRENGTHS,
    AdapterChange,
    LayerChange,
    PrecisionCost,
    answer_at_strengths,
    compare_precision,
    measure_adapter,
)
from space.model.inside.attention import Attention, NamedHead, can_attend, read_attention
from space.model.inside.embeddings import (
    Neighbour,
    WordNeighbours,
    mean_hidden,
    nearest_tokens,
    nearest_vectors,
)
from space.model.inside.reading import (
    Guess,
    Guesses,
    Place,
    TokenReading,
    Word,
    guess_tokens,
    read_tokens,
)
from space.model.inside.snapshots import Snapshots, answer_along_training, find_snapshots

__all__ = [
    "STRENGTHS",
    "AdapterChange",
    "Attention",
    "Guess",
    "Guesses",
    "LayerChange",
    "NamedHead",
    "Neighbour",
    "Place",
    "PrecisionCost",
    "Snapshots",
    "TokenReading",
    "Word",
    "WordNeighbours",
    "answer_along_training",
    "answer_at_strengths",
    "can_attend",
    "compare_precision",
    "find_snapshots",
    "guess_tokens",
    "mean_hidden",
    "measure_adapter",
    "nearest_tokens",
    "nearest_vectors",
    "read_attention",
    "read_tokens",
]
