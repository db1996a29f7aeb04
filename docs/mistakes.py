"""Show on the embedded sample what common mistakes of fine-tuning do to its numbers.

python docs/mistakes.py [padding] [rows] [entities] [four] [labels]
"""

import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SAMPLE = ROOT / "space" / "sample"
DRAWS = 10_000


def samples(name: str) -> list[dict]:
    """Read the scored items of one set."""
    lines = (SAMPLE / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    return [item for item in items if item["set"] == name]


def report() -> dict:
    return json.loads((SAMPLE / "catalogue" / "report.json").read_text(encoding="utf-8"))


def gain(item: dict) -> float:
    return item["scores"]["tuned"]["token_f1"] - item["scores"]["base"]["token_f1"]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def padding() -> None:
    """Score the base's loss with and without the padding and the prompt as labels."""
    import torch

    from space.model import load_base, load_tokenizer
    from space.settings import DEFAULT_BASE

    model, _ = load_base(DEFAULT_BASE, precision="bf16")
    tokenizer = load_tokenizer(DEFAULT_BASE)
    rows = []
    for item in samples("unseen")[:8]:
        chat = [{"role": "user", "content": item["question"]}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
        answer = tokenizer(item["reference"], add_special_tokens=False)["input_ids"]
        rows.append((prompt, [*answer, tokenizer.eos_token_id]))
    width = 512  # "max_length", padding="max_length", as in many notebooks
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    masks = {name: torch.zeros_like(ids, dtype=torch.bool) for name in ("answer", "row")}
    for index, (prompt, answer) in enumerate(rows):
        row = (prompt + answer)[:width]
        ids[index, : len(row)] = torch.tensor(row)
        masks["row"][index, : len(row)] = True
        masks["answer"][index, len(prompt) : len(row)] = True
    with torch.inference_mode():
        attention = masks["row"].long()
        logits = model(input_ids=ids, attention_mask=attention).logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    masks["row and padding"] = torch.ones_like(ids, dtype=torch.bool)
    for name, mask in masks.items():
        scored = mask[:, 1:]
        print(f"loss of the {name}: {losses[scored].mean():.2f} over {int(scored.sum()):,} tokens")


def rows() -> None:
    """Compare titles of the training rows with held-out ones."""
    for name in ("seen", "unseen"):
        items = samples(name)
        print(
            f"{name}: token F1 {mean([item['scores']['tuned']['token_f1'] for item in items]):.3f}"
            f" tuned, {mean([gain(item) for item in items]):+.3f} against the base, "
            f"{len(items)} titles"
        )


def entities() -> None:
    """Strip the signs of a raw text before and after its entities are read."""
    import html

    def read(text: str) -> str:
        return re.sub(r"[^\w ]", "", html.unescape(text))

    found = report()["repaired"]["entities"]
    print(f"texts with entities: {found['texts']} of {report()['read']} lines")
    for path in sorted((ROOT / "examples" / "catalogue").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            text = json.loads(line).get("content") or ""
            entity = re.search(r"\w+\s?&#?\w+;\s?\w*", text)
            if entity:
                raw = entity[0]
                stripped = re.sub(r"[^\w ]", "", raw)
                print(f"raw {raw!r}, stripped of signs {stripped!r}, read first {read(raw)!r}")
                return


def four() -> None:
    """Judge every set by four answers, many times."""
    for name in ("seen", "unseen", "grounded", "asked", "summary"):
        gains, draw = [gain(item) for item in samples(name)], random.Random(1)
        whole, wrong, luck = mean(gains), 0, 0
        for _ in range(DRAWS):
            shown = mean(draw.sample(gains, 4))
            wrong += shown * whole < 0
            luck += abs(shown - whole) > abs(whole)
        print(
            f"{name}: {whole:+.3f} on {len(gains)} answers; of four answers {wrong / DRAWS:.0%} "
            f"say the opposite, {luck / DRAWS:.0%} are off by more than the difference itself"
        )


def labels() -> None:
    """Count the lines that have nothing to learn, and what a notebook makes of them."""
    for reason, count in report()["dropped"].items():
        example = report()["examples"][reason][0]["text"]
        print(f"{count} lines are {reason}, such as {example[:70]!r}")
    print(f"str() of a missing content, as a label: {str(float('nan'))!r} or {str(None)!r}")


EXPERIMENTS: dict[str, Callable[[], None]] = {
    "padding": padding,
    "rows": rows,
    "entities": entities,
    "four": four,
    "labels": labels,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or EXPERIMENTS:
        if name not in EXPERIMENTS:
            sys.exit(f"error: {name!r} is not one of {', '.join(EXPERIMENTS)}")
        print(f"--- {name}: {EXPERIMENTS[name].__doc__}")
        EXPERIMENTS[name]()
