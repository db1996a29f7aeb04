"""What a person reads of a run: the table, the plots and the filled model card."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from huggingface_hub import EvalResult, ModelCardData

from train.statistics import shown

CARD = Path(__file__).resolve().parent.parent / "model_card.md"
COLUMNS = {"base": "base", "few_shot": "base, {shots} examples", "retrieved": "first record", "tuned": "tuned"}
# What the table shows; metrics.json has every metric.
HEADLINE = ("rougeL", "rougeL_unicode", "token_f1", "loss", "supported", "invented_numbers", "invented_names", "source_right",
            "says_absent")
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
INK = {"base": "#8a8178", "few_shot": "#c9b79c", "retrieved": "#6f8f9c", "tuned": "#b4532a"}


class CardError(ValueError):
    """The card's template asks for something that the run does not say."""


def table_rows(metrics: dict, shots: int) -> list[list[str]]:
    """Returns the before/after table as rows of words, the heading first."""
    present = [name for name in COLUMNS if all(name in scores for scores in metrics.values())]
    rows = [["set", "n", "metric", *(COLUMNS[name].format(shots=shots) for name in present), "difference [95%]",
             "won-tied-lost"]]
    for name, scores in metrics.items():
        first = [name, str(scores["n"])]
        for metric, change in scores["difference"].items():
            if metric in HEADLINE:
                cells = [_number(scores[column].get(metric)) for column in present]
                rows.append([*first, metric, *cells, difference_words(change), _tally(change)])
                first = ["", ""]
    return rows


def difference_words(change: dict) -> str:
    """Returns a difference with its interval, and whether it is one."""
    if change["low"] is None:
        return f"{change['mean']:+.3f} (one item: no interval)"
    words = f"{change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
    return words if shown(change) else f"{words} no difference shown"


def summary_note(metrics: dict) -> str:
    """Returns what the `summary` set was scored against, for under the table; nothing where there is no such set."""
    told = metrics.get("summary", {}).get("references")
    return f"\n\nsummary: {told}" if told else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _tally(change: dict) -> str:
    # An older metrics.json has none.
    return f"{change['wins']}-{change['ties']}-{change['losses']}" if change.get("wins") is not None else ""


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Returns the table for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for place, row in enumerate(rows):
        if row[0] and place:
            lines.append("")
        cells = [cell.rjust(width) if 2 < column < len(row) - 2 else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Returns the table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def plot_loss(history: Path, path: Path) -> None:
    """Draws the training loss by step."""
    entries = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot([entry["step"] for entry in entries], [float(entry["loss"]) for entry in entries], color=INK["tuned"])
    axes.set(xlabel="optimizer step", ylabel="loss, nats per answer token", ylim=(0, None))
    _save(figure, axes, path)


def plot_before_after(metrics: dict, shots: int, path: Path) -> None:
    """Draws ROUGE-L of every set and column, the difference's interval on the tuned bar."""
    present = [name for name in COLUMNS if all(name in scores for scores in metrics.values())]
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    width = 0.8 / len(present)
    for place, column in enumerate(present):
        heights = [scores[column]["rougeL"] for scores in metrics.values()]
        bars = axes.bar([x + place * width for x in range(len(metrics))], heights, width * 0.92, color=INK[column],
                        label=COLUMNS[column].format(shots=shots))
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
        if column == "tuned":
            changes = [scores["difference"]["rougeL"] for scores in metrics.values()]
            spread = [[0 if change["low"] is None else abs(change["mean"] - change[end]) for change in changes]
                      for end in ("low", "high")]
            axes.errorbar([x + place * width for x in range(len(metrics))], heights, spread, fmt="none", ecolor="#222")
    axes.set_xticks([x + width * (len(present) - 1) / 2 for x in range(len(metrics))],
                    [f"{name} (n={scores['n']})" for name, scores in metrics.items()])
    axes.set(ylabel="ROUGE-L", ylim=(0, 1.12))
    axes.legend(loc="upper right", ncols=len(present), frameon=False)
    _save(figure, axes, path)


def _save(figure, axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


# --- the card --------------------------------------------------------------------------------------------------------


def fill_card(template: str, values: dict[str, str]) -> str:
    """Returns the template with every {placeholder} filled; raises CardError that names those left over."""
    missing = sorted({name for name in PLACEHOLDER.findall(template) if name not in values})
    if missing:
        raise CardError(f"the card has nothing to say for {', '.join(missing)}")
    return PLACEHOLDER.sub(lambda found: str(values[found[1]]), template)


def card(run: Path, record: dict, metrics: dict, samples: Sequence[dict], shots: int, checked: dict[str, int]) -> str:
    """Returns the adapter's card from the run's own files: run.json, report.json, metrics.json, samples.jsonl.

    `checked` is what leaks.check() compared.
    """
    report = json.loads((run / "catalogue" / "report.json").read_text(encoding="utf-8"))
    config, base = record["config"], record["base"]
    name = f"{base['name'].split('/')[-1]}-{run.resolve().name}"
    few_shot = any("few_shot" in scores for scores in metrics.values())
    note = f" The base is also shown with {shots} worked examples in its prompt, its best fair chance." if few_shot else ""
    return fill_card(CARD.read_text(encoding="utf-8"), {
        **{key: f"{report[key]:,}" for key in ("read", "kept")},
        "source": report["source"]["name"], "sha256": report["source"]["sha256"],
        **{key: f"{record[key]:,}" for key in ("steps", "tokens", "seconds", "adapter_parameters")},
        "checked_items": f"{checked['items']:,}", "checked_records": f"{checked['records']:,}",
        "metadata": metadata(name, base, metrics), "name": name, "base": base["name"], "base_revision": base["revision"],
        "precision": config["precision"], "learned": config["learn"] or report["splits"]["train"],
        "hardware": record["hardware"], "few_shot_note": note, "table": as_markdown(table_rows(metrics, shots)),
        "dropped": ", ".join(f"{count} {reason}" for reason, count in report["dropped"].items()) or "none",
        "hyperparameters": as_markdown([["option", "value"], *([key, str(value)] for key, value in config.items())]),
        "libraries": ", ".join(f"{key} {value}" for key, value in record["libraries"].items()),
        "samples": sample_pairs(samples), "question": samples[0]["question"].replace('"', "'"),
    })


def metadata(name: str, base: dict, metrics: dict) -> str:
    """Returns the card's YAML; a base that is a folder is no Hub id and is left out."""
    results = [EvalResult(task_type="text-generation", dataset_type="catalogue", dataset_name=f"catalogue, {title}",
                          dataset_split=title, metric_type=metric, metric_value=value)
               for title, scores in metrics.items() for metric, value in scores["tuned"].items()]
    hub = {} if base["revision"].startswith("sha256:") else {"base_model": base["name"]}
    data = ModelCardData(language=["en", "pt"], library_name="peft", pipeline_tag="text-generation", model_name=name,
                         tags=["lora", "qlora", "shelftalk"], eval_results=results, base_model_relation="adapter", **hub)
    return data.to_yaml()


def sample_pairs(samples: Sequence[dict]) -> str:
    """Returns three pairs of answers: where tuning helped most, where it helped least, and the middle one."""
    from train.measures import token_f1

    ranked = sorted(samples, key=lambda line: token_f1(line["tuned"], line["reference"])
                    - token_f1(line["base"], line["reference"]), reverse=True)
    chosen = (("Helped most", ranked[0]), ("In the middle", ranked[len(ranked) // 2]), ("Helped least", ranked[-1]))
    return "\n\n".join(
        f"**{title}** ({line['set']})\n\n" + as_markdown([["", ""], *(
            [key, _cell(line[key])] for key in ("question", "reference", "base", "tuned"))]) for title, line in chosen)


def _cell(text: str, limit: int = 400) -> str:
    text = text if len(text) <= limit else text[:limit] + " ..."
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
