"""The toy, for tests alone: a Llama of 5 million parameters on made-up words, and its adapter."""

from pathlib import Path

TOY = Path(__file__).resolve().parent
