"""The adapter's model card: filled from the run's own files, valid for the Hub, addressed to its repository."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from space.model import Base, PromptTemplate, family_of_task
from space.snippets import vllm_max_rank
from train.evaluate import HEADLINE, as_markdown, difference_words, table_rows, token_f1, ways
from train.prepare import DROPS, RULES
from train.publish.origin import Licence, base_licence
from train.run import Run

CARD = Path(__file__).resolve().parents[2] / "model_card.md"
PLACEHOLDER = re.compile(r"\{([a-z_0-9]+)\}")
# Where the card says which adapter is loaded, in Python and, for a base that vLLM takes, in the shell; and where the plots are.
ADDRESSES = {
    re.compile(r'^adapter = ".*"$', re.MULTILINE): 'adapter = "{}"',
    re.compile(r"^ADAPTER=.*$", re.MULTILINE): "ADAPTER=$(hf download --quiet {})",
    re.compile(r"\]\((?:\.\./)?plots/"): "](plots/",
}
SHOWN = 400  # characters of a sample's text


class CardError(ValueError):
    """The card's template asks for something that the run does not say."""


def fill_card(template: str, values: dict[str, object]) -> str:
    """Returns the template with every {placeholder} filled; raises CardError that names those left over."""
    missing = sorted({name for name in PLACEHOLDER.findall(template) if name not in values})
    if missing:
        raise CardError(f"the card has nothing to say for {', '.join(missing)}")
    return PLACEHOLDER.sub(lambda found: str(values[found[1]]), template)


def card(
    run: Run,
    source: str,
    metrics: dict,
    samples: Sequence[dict],
    shots: int,
    checked: dict[str, int],
) -> str:
    """Returns the card of run/adapter, for whoever is in the run's folder; for_repository() is for everyone else.

    `source` is where the base was loaded from, `checked` what leaks.check() compared; the rest comes from the run's own
    run.json, report.json and prompt.json.
    """
    record = run.adapter_record()
    report = run.catalogue_report()
    summaries = record.get("summaries", {})  # an older adapter says nothing of them
    base, config = Base(**record["base"]), record["config"]
    licence = base_licence(base, source)
    name = f"{base.name.split('/')[-1]}-{run.folder.resolve().name}"
    use = {
        "rank": config["rank"],
        "room": vllm_max_rank(config["rank"]),
        "answer_tokens": config["answer_tokens"],
        "served": f"{base.name} --revision {base.revision}" if base.on_hub else base.name,
        "question": json.dumps(samples[0]["question"], ensure_ascii=False),
    }
    return fill_card(
        CARD.read_text(encoding="utf-8"),
        {
            **use,
            **_use(run, use),
            **{
                key: f"{record[key]:,}"
                for key in (
                    "steps",
                    "tokens",
                    "seconds",
                    "examples",
                    "left_out",
                    "adapter_parameters",
                )
            },
            **_data(report),
            "learned": f"{config['learn'] or report['splits']['train']:,}",
            "metadata": metadata(
                name, base, licence, report, metrics, summaries.get("source", {}).get("dataset")
            ),
            "name": name,
            "base": base.name,
            "ways": ways(config),
            "revision": base.revision,
            "pinned": f', revision="{base.revision}"' if base.on_hub else "",
            "base_place": _place(base),
            "precision": config["precision"],
            "hardware": record["hardware"],
            "few_shot_note": _few_shot_note(metrics, shots),
            "table": as_markdown(table_rows(metrics, shots)),
            "checked_items": f"{checked['items']:,}",
            "checked_records": f"{checked['records']:,}",
            "hyperparameters": as_markdown(
                [["option", "value"], *([key, str(value)] for key, value in config.items())]
            ),
            "libraries": ", ".join(f"{key} {value}" for key, value in record["libraries"].items()),
            "python": record["python"],
            "version": record["version"],
            "licence": licence.words(base),
            **_summaries(summaries),
            "samples": sample_pairs(samples),
            "wording": _wording(PromptTemplate.load(run.adapter / "prompt.json")),
        },
    )


def for_repository(text: str, repository: str, catalogue: str | None = None) -> str:
    """Returns a run's card as it stands in `repository` on the Hub, with plots/ beside it: every snippet loads from there.

    `catalogue` is the dataset repository with its catalogue, if there is one. A card that was addressed before is
    addressed anew. Raises CardError where the card has no place for an address.
    """
    for line, address in ADDRESSES.items():
        text, places = line.subn(lambda _, address=address: address.format(repository), text)
        if not places and ("$(" not in address or "$ADAPTER" in text):
            raise CardError(
                "the card does not say where the adapter is loaded from, as evaluate writes it: run evaluate "
                "again and leave its snippets as they are"
            )
    if catalogue is None:
        return text
    told = ModelCard(text)
    told.data.datasets = list(dict.fromkeys([*(told.data.datasets or []), catalogue]))
    return str(told)


def metadata(
    name: str,
    base: Base,
    licence: Licence,
    report: dict,
    metrics: dict,
    summaries: str | None = None,
) -> str:
    """Returns the card's YAML; a base that is a folder is no Hub id and is left out.

    `summaries` is the Hub data set that they were learned from, if there is one.
    """
    dataset = report["source"].get("dataset")
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=dataset or "catalogue",
            dataset_name=f"catalogue, {title}",
            dataset_split=title,
            metric_type=metric,
            metric_value=value,
            metric_name=f"{metric} (over the base {difference_words(scores['difference'][metric])})",
        )
        for title, scores in metrics.items()
        for metric, value in scores["tuned"].items()
        if metric in HEADLINE and metric in scores["difference"]
    ]
    return ModelCardData(
        language=sorted(report["languages"]),
        library_name="peft",
        pipeline_tag="text-generation",
        model_name=name,
        tags=["lora", "qlora", "shelftalk"],
        datasets=[*filter(None, (dataset, summaries))] or None,
        eval_results=results,
        base_model=base.name if base.on_hub else None,
        base_model_relation="adapter",
        **licence.metadata,
    ).to_yaml()


def _data(report: dict) -> dict[str, object]:
    """What the card says of the data: where from, what went and why, what was mended, which side a record is on."""
    dropped = [[reason, f"{count:,}", DROPS[reason]] for reason, count in report["dropped"].items()]
    repaired = [
        [rule.name, f"{count:,}", rule.description]
        for rule in RULES
        if (count := report["repaired"][rule.name]["texts"])
    ]
    told = sum(report["languages"].values())
    return {
        "source": report["source"].get("dataset") or report["source"]["name"],
        "sha256": report["source"]["sha256"],
        "read": f"{report['read']:,}",
        "kept": f"{report['kept']:,}",
        "near_duplicates": f"{report['near_duplicates']:,}",
        **{side: f"{count:,}" for side, count in report["splits"].items()},
        "languages": ", ".join(
            f"{name} {count / told:.0%}" for name, count in report["languages"].items()
        ),
        "dropped": as_markdown(
            [["dropped as", "lines", "why"], *(dropped or [["nothing", "0", ""]])]
        ),
        "repaired": as_markdown(
            [["repaired", "texts", "how"], *(repaired or [["nothing", "0", ""]])]
        ),
    }


def _summaries(made: dict) -> dict[str, str]:
    """What the card says of the summaries that were learned; `made` is what run.json says of them."""
    if "splits" not in made:
        return {
            "sums_up": "says its principal sentences",
            "summaries": "",
            "summary_note": "texts kept out of training, without the sentences that are their summary, so that a good one "
            "says what\nis not in its text.",
        }
    splits = made["splits"]
    return {
        "sums_up": f"sums it up in the manner of {made['from']}",
        "summary_note": f"texts kept out of training, with summaries of {made['from']}.",
        "summaries": f"\nSummaries were learned from {made['from']}: {splits['train']:,} texts with summaries to train on "
        f"and {splits['unseen']:,} held out (sha256 {made['sha256']}). Their licence: {made['licence']}.\n",
    }


def _use(run: Run, values: dict[str, object]) -> dict[str, str]:
    """How the adapter is loaded by others, in the names of its base's family."""
    settings = json.loads((run.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    family = family_of_task(settings.get("task_type"))
    elsewhere = (Path(__file__).resolve().parent / f"elsewhere_{family.name}.md").read_text(
        encoding="utf-8"
    )
    return {
        "loader": family.loader.__name__,
        "peft_loader": family.peft_loader,
        "said": family.generate_call.format(tokens=values["answer_tokens"]),
        "elsewhere": fill_card(elsewhere, values).strip(),
    }


def _place(base: Base) -> str:
    if base.on_hub:
        return (
            f"The base comes from the Hub; where its page asks for it, accept its terms at https://huggingface.co/"
            f"{base.name} and log in with `hf auth login`."
        )
    return (
        f"The base is not on the Hub: its folder, named `{base.name}`, must be where this is run, or be named in its "
        "place."
    )


def _few_shot_note(metrics: dict, shots: int) -> str:
    if not any("few_shot" in scores for scores in metrics.values()):
        return ""
    return (
        f" The base is also shown with {shots} worked examples in its prompt, its best fair chance."
    )


def _wording(prompt_template: PromptTemplate) -> str:
    tasks = {
        "describe": "a question, from memory",
        "answer": "a question with records",
        "record": "each of the records",
        "no_records": "a question for which no record was found",
        "no_records_pt": "the same, in Portuguese",
        "summarize": "a text to summarize",
    }
    return as_markdown(
        [
            ["message", "words"],
            *(
                [words, f"`{json.dumps(getattr(prompt_template, task), ensure_ascii=False)[1:-1]}`"]
                for task, words in tasks.items()
            ),
        ]
    )


# --- samples ---------------------------------------------------------------------------------------------------------


def sample_pairs(samples: Sequence[dict]) -> str:
    """Returns three pairs of answers - helped most, in the middle, and where tuning did most harm - and how often it did."""
    scored = [
        (
            token_f1(line["base"], line["reference"]),
            token_f1(line["tuned"], line["reference"]),
            line,
        )
        for line in samples
    ]
    ranked = sorted(scored, key=lambda pair: pair[1] - pair[0], reverse=True)
    worse = sum(tuned < base for base, tuned, _ in scored)
    verdict = (
        f"By token F1 the tuned answer is worse than the base's in {worse:,} of {len(samples):,}; the third is where it "
        "lost most."
        if worse
        else f"By token F1 none of the {len(samples):,} tuned answers is worse than the base's; "
        "the third is where it gained least."
    )
    chosen = zip(
        ("Helped most", "In the middle", "Worse than the base" if worse else "Helped least"),
        (ranked[0], ranked[len(ranked) // 2], ranked[-1]),
        strict=True,
    )
    return "\n\n".join(
        [
            verdict,
            *(
                f"**{title}** ({line['set']}): token F1 {base:.2f} to {tuned:.2f}\n\n"
                + as_markdown(
                    [
                        ["", ""],
                        *(
                            [key, _cell(line[key])]
                            for key in ("question", "reference", "base", "tuned")
                        ),
                    ]
                )
                for title, (base, tuned, line) in chosen
            ),
        ]
    )


def _cell(text: str) -> str:
    text = text if len(text) <= SHOWN else text[:SHOWN] + " ..."
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
