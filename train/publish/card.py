"""Model and dataset cards, filled from a run's own files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
from huggingface_hub import (
    CardData,
    DatasetCard,
    DatasetCardData,
    EvalResult,
    ModelCard,
    ModelCardData,
    RepoCard,
    hf_hub_download,
    metadata_load,
)
from yaml import YAMLError

from space.evidence import read_scores
from space.model import Base, PromptTemplate, family_of_task
from space.settings import BASE_FOLDER, BASE_PACKAGE, DEFAULT_BASE
from space.snippets import FETCH, vllm_max_rank
from train.evaluate import ScoredItem, as_markdown, difference_words, rare_options, score_rows
from train.prepare import DROPS, RULES
from train.run import AdapterRecord, CatalogueReport, Run, read_json

TEMPLATES = Path(__file__).resolve().parent / "templates"
ADAPTER_TEMPLATE = Path(__file__).resolve().parents[2] / "model_card.md"
MERGED_TEMPLATE = TEMPLATES / "merged_card.md"
CATALOGUE_TEMPLATE = TEMPLATES / "catalogue_card.md"
# The lines and links of a card that say where the adapter and the plots are.
ADAPTER_IN_PYTHON = re.compile(r'^adapter = ".*"$', re.MULTILINE)
ADAPTER_IN_SHELL = re.compile(r"^ADAPTER=.*$", re.MULTILINE)
PLOTS = re.compile(r"\]\((?:\.\./)?plots/")
SAMPLE_CHARACTERS = 400  # of a sample's text
UNKNOWN = "unknown"  # the Hub's id for a licence that is not known
# Signs of Markdown, HTML, formulas, mentions and this card's own template, as entities, which are
# never more than text.
PLAIN = str.maketrans({sign: f"&#{ord(sign)};" for sign in "&<>[]{}`*_~|$@\\"})
LINKED = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp):|\bwww\.")  # what is a link without any sign
URL = re.compile(r"https?://[^\s()<>\"'`|\\]+")


class CardError(ValueError):
    """A card cannot be filled, or cannot be addressed to a repository."""


def fill_card(
    template: Path,
    data: CardData,
    values: Mapping[str, str],
    kind: type[RepoCard] = ModelCard,
) -> str:
    """Render a Jinja template, or raise CardError for missing values."""
    text = template.read_text(encoding="utf-8")
    # The library would leave a missing value out without a word.
    missing = sorted(template_names(text) - {*values, "card_data"})
    if missing:
        raise CardError(f"{template.name} needs values for {', '.join(missing)}")
    return f"{kind.from_template(data, template_str=text, **values)}\n"


def template_names(text: str) -> set[str]:
    """List the names in all branches of a Jinja template."""
    return jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(text))


# --- the adapter's card ---


def adapter_card(
    run: Run,
    source: str,
    metrics: Mapping[str, Any],
    items: Sequence[ScoredItem],
    shots: int,
    checked: Mapping[str, int],
) -> str:
    """Write an adapter's card, with links and snippets for its run's folder.

    `source` is where the base was loaded from, `checked` how many items were compared with how
    many records for contamination.
    """
    record, report = run.adapter_record(), run.catalogue_report()
    base = Base(**record["base"])
    licence = base_licence(base, source)
    name = f"{base.name.split('/')[-1]}-{run.folder.resolve().name}"
    summaries = record.get("summaries", {})
    data = adapter_metadata(name, base, licence, report, metrics, summaries)
    few_shot = any("few_shot" in scores for scores in metrics.values())
    values = {
        "name": name,
        "licence": licence.describe(base),
        "few_shot": str(shots) if few_shot else "",
        "table": as_markdown(score_rows(metrics, shots)),
        "checked_items": f"{checked['items']:,}",
        "checked_records": f"{checked['records']:,}",
        "samples": sample_pairs(items),
        "question": quote_python(items[0].question),
        "prompt_template": _prompt_table(PromptTemplate.load(run.adapter / "prompt.json")),
        **_base_values(run, base, record["config"]["answer_tokens"]),
        **_training_values(record),
        **_catalogue_values(report),
        **_summary_values(summaries),
    }
    values["learned"] = f"{record['config']['learn'] or report['splits']['train']:,}"
    return fill_card(ADAPTER_TEMPLATE, data, values)


def for_repository(text: str, repository: str, catalogue: str | None = None) -> str:
    """Address a run's card to a repository on the Hub.

    Every snippet then loads from there. `catalogue` is the dataset repository of its catalogue,
    if there is one. A card that was addressed before is addressed anew. Raises CardError where
    the card names no adapter.
    """
    text, in_python = ADAPTER_IN_PYTHON.subn(lambda _: f'adapter = "{repository}"', text)
    text, in_shell = ADAPTER_IN_SHELL.subn(
        lambda _: f"ADAPTER=$(hf download --quiet {repository})", text
    )
    text, plots = PLOTS.subn("](plots/", text)
    # A base that vLLM does not take has nothing for the shell.
    if not in_python or not plots or (not in_shell and "$ADAPTER" in text):
        raise CardError(
            "the card does not say where the adapter is loaded from, as evaluate writes it: "
            "run evaluate again and leave its snippets as they are"
        )
    if catalogue is None:
        return text
    card = ModelCard(text)
    datasets = card.data.to_dict().get("datasets", [])
    card.data["datasets"] = list(dict.fromkeys([*datasets, catalogue]))
    return str(card)


def adapter_metadata(
    name: str,
    base: Base,
    licence: Licence,
    report: CatalogueReport,
    metrics: Mapping[str, Any],
    summaries: Mapping[str, Any],
) -> ModelCardData:
    """Describe the adapter to the Hub, and its base if on it."""
    dataset = report["source"].get("dataset")
    summary_dataset = summaries.get("source", {}).get("dataset")
    results = []
    for scores in read_scores(metrics):
        for metric, change in scores.changes["base"].items():
            results.append(
                EvalResult(
                    task_type="text-generation",
                    dataset_type=dataset or "catalogue",
                    dataset_name=f"catalogue, {scores.name}",
                    dataset_split=scores.name,
                    metric_type=metric,
                    metric_value=scores.means["tuned"][metric],
                    metric_name=f"{metric} (over the base {difference_words(change)})",
                )
            )
    return ModelCardData(
        language=sorted(report["languages"]),
        library_name="peft",
        pipeline_tag="text-generation",
        model_name=name,
        tags=["lora", "qlora", "shelftalk"],
        datasets=[each for each in (dataset, summary_dataset) if each] or None,
        eval_results=results,
        base_model=base.name if base.on_hub else None,
        base_model_relation="adapter",
        **licence.metadata(),
    )


def _base_values(run: Run, base: Base, answer_tokens: int) -> dict[str, str]:
    settings = read_json(run.adapter / "adapter_config.json")
    family = family_of_task(settings.get("task_type"))
    return {
        "base": base.name,
        "revision": base.revision,
        "on_hub": "yes" if base.on_hub else "",
        "gguf": "yes" if base.is_gguf else "",
        "fetch": FETCH if base.name == DEFAULT_BASE else "",
        "folder": BASE_FOLDER if base.name == DEFAULT_BASE else ".",
        "loader": family.loader.__name__,
        "peft_loader": family.peft_loader,
        "decoder_only": "yes" if family.name == "decoder_only" else "",
        "generate": family.generate_call.format(tokens=answer_tokens),
        "answer_tokens": str(answer_tokens),
    }


def _training_values(record: AdapterRecord) -> dict[str, str]:
    config = record["config"]
    options = [[name, str(value)] for name, value in config.items()]
    return {
        "precision": config["precision"],
        "rank": str(config["rank"]),
        "max_lora_rank": str(vllm_max_rank(config["rank"])),
        "ways": rare_options(config),
        "hyperparameters": as_markdown([["option", "value"], *options]),
        "hardware": record["hardware"],
        "python": record["python"],
        "version": record["version"],
        "libraries": ", ".join(f"{name} {value}" for name, value in record["libraries"].items()),
        "steps": f"{record['steps']:,}",
        "tokens": f"{record['tokens']:,}",
        "seconds": f"{record['seconds']:,}",
        "examples": f"{record['examples']:,}",
        "left_out": f"{record['left_out']:,}",
        "adapter_parameters": f"{record['adapter_parameters']:,}",
    }


def _catalogue_values(report: CatalogueReport) -> dict[str, str]:
    source, languages = report["source"], report["languages"]
    dropped = [[reason, f"{count:,}", DROPS[reason]] for reason, count in report["dropped"].items()]
    repaired = []
    for rule in RULES:
        count = report["repaired"].get(rule.name, {"texts": 0})["texts"]  # an older run's report
        if count:
            repaired.append([rule.name, f"{count:,}", rule.description])
    nothing = [["nothing", "0", ""]]
    records = sum(languages.values())
    return {
        "source": source.get("dataset") or as_plain(source["name"]),
        "sha256": source["sha256"],
        "read": f"{report['read']:,}",
        "kept": f"{report['kept']:,}",
        "near_duplicates": f"{report['near_duplicates']:,}",
        "train": f"{report['splits']['train']:,}",
        "unseen": f"{report['splits']['unseen']:,}",
        "languages": ", ".join(
            f"{name} {count / records:.0%}" for name, count in languages.items()
        ),
        "dropped": as_markdown([["dropped as", "lines", "why"], *(dropped or nothing)]),
        "repaired": as_markdown([["repaired", "texts", "how"], *(repaired or nothing)]),
    }


def _summary_values(summaries: Mapping[str, Any]) -> dict[str, str]:
    if "splits" not in summaries:  # texts without summaries of their own, or an older adapter
        return dict.fromkeys(
            (
                "summaries_from",
                "summaries_train",
                "summaries_unseen",
                "summaries_sha256",
                "summaries_licence",
            ),
            "",
        )
    return {
        "summaries_from": as_plain(summaries["from"]),
        "summaries_train": f"{summaries['splits']['train']:,}",
        "summaries_unseen": f"{summaries['splits']['unseen']:,}",
        "summaries_sha256": summaries["sha256"],
        "summaries_licence": as_plain(summaries["licence"]),
    }


def _prompt_table(prompt_template: PromptTemplate) -> str:
    uses = {
        "describe": "a question, from memory",
        "answer": "a question with records",
        "answer_pt": "the same, in Portuguese",
        "record": "each of the records",
        "no_records": "a question for which no record was found",
        "no_records_pt": "the same, in Portuguese",
        "summarize": "a text to summarize",
        "summarize_pt": "the same, in Portuguese",
    }
    rows = [["message", "words"]]
    for name, use in uses.items():
        escaped = json.dumps(getattr(prompt_template, name), ensure_ascii=False)[1:-1]
        rows.append([use, f"`{escaped}`"])
    return as_markdown(rows)


def sample_pairs(items: Sequence[ScoredItem]) -> str:
    """Show three pairs of answers, from the most to the least helped."""
    items = [item for item in items if "token_f1" in item.scores["tuned"]]  # `kept` has none
    ranked = sorted(items, key=_f1_change, reverse=True)
    worse = sum(_f1_change(item) < 0 for item in items)
    if worse:
        last = "Worse than the base"
        text = (
            f"By token F1 the tuned answer is worse than the base's in {worse:,} of "
            f"{len(items):,}; the third is where it lost most."
        )
    else:
        last = "Helped least"
        text = (
            f"By token F1 none of the {len(items):,} tuned answers is worse than the base's; "
            "the third is where it gained least."
        )
    shown = {"Helped most": ranked[0], "In the middle": ranked[len(ranked) // 2], last: ranked[-1]}
    parts = [text]
    for title, item in shown.items():
        rows = [
            ["", ""],
            ["question", _cell(item.question)],
            ["reference", _cell(item.reference)],
            ["base", _cell(item.answers["base"].text)],
            ["tuned", _cell(item.answers["tuned"].text)],
        ]
        base, tuned = item.scores["base"]["token_f1"], item.scores["tuned"]["token_f1"]
        parts.append(f"**{title}** ({item.set}): token F1 {base:.2f} to {tuned:.2f}")
        parts.append(as_markdown(rows))
    return "\n\n".join(parts)


def _f1_change(item: ScoredItem) -> float:
    return item.scores["tuned"]["token_f1"] - item.scores["base"]["token_f1"]


def _cell(text: str) -> str:
    if len(text) > SAMPLE_CHARACTERS:
        text = text[:SAMPLE_CHARACTERS] + " ..."
    return as_plain(text)


def as_plain(text: str) -> str:
    """Write a text from outside as literal Markdown, in one line.

    No link, picture, tag, mention or formula of it is live, and none is a place to fill in.
    """
    text = re.sub(r"\s+", " ", text).translate(PLAIN)
    return LINKED.sub(lambda found: f"{found[0][:-1]}&#{ord(found[0][-1])};", text)


def quote_python(text: str) -> str:
    """Write a text as a Python string without double braces."""
    return json.dumps(text, ensure_ascii=False).replace("{{", "{\\u007b").replace("}}", "}\\u007d")


# --- the catalogue's card ---


def catalogue_card(report: CatalogueReport, adapter: str, repo: str) -> str:
    """Write the card by which `datasets` finds the records."""
    name = repo.split("/")[1]
    files = {"split": "train", "path": "records/*.parquet"}
    data = DatasetCardData(
        pretty_name=name,
        tags=["shelftalk"],
        configs=[{"config_name": "default", "data_files": [files]}],
    )
    values = {
        "name": name,
        "adapter": adapter,
        "repo": repo,
        "kept": f"{report['kept']:,}",
        "read": f"{report['read']:,}",
        "source": as_plain(report["source"]["name"]),
        "sha256": report["source"]["sha256"],
    }
    return fill_card(CATALOGUE_TEMPLATE, data, values, DatasetCard)


# --- the base's licence ---


@dataclass(frozen=True)
class Licence:
    """A licence as the Hub spells it; one without an id (`other`) has a name and a link."""

    id: str = UNKNOWN
    name: str | None = None
    link: str | None = None

    def metadata(self) -> dict[str, Any]:
        """Return the fields of a card's metadata."""
        fields = {"license": self.id, "license_name": self.name, "license_link": self.link}
        return {field: value for field, value in fields.items() if value}

    def describe(self, base: Base) -> str:
        """Explain the licence and its duties to whoever passes the adapter on."""
        if self.id == UNKNOWN:
            return (
                "The licence of the base is not known here: its own card could not be read, or "
                "names none. It also holds for what is made from the base. Look it up before you "
                "pass this adapter on."
            )
        link = self.link or (f"https://huggingface.co/{base.name}" if base.on_hub else None)
        named = f"`{self.name or self.id}`" + (f" ([text]({link}))" if link else "")
        carried = (
            f"The licence of the base is {named}. It also holds for this adapter, which is made "
            "from that base."
        )
        if self.id.startswith(("llama3", "llama4")):
            return f"{carried} {self._llama_notice()}"
        return carried

    def _llama_notice(self) -> str:
        """Write the notice that section 1.b of Meta's community licences requires."""
        if self.id == "llama3":
            model = built_with = "Meta Llama 3"
        else:
            model, built_with = "Llama " + self.id.removeprefix("llama"), "Llama"
        return (
            f"**Built with {built_with}.** {model} is licensed under the {model} Community "
            "License, Copyright © Meta Platforms, Inc. All Rights Reserved. Whoever passes this "
            "adapter on also passes on a copy of that agreement and this notice, under a name that "
            f'begins with "{built_with.removeprefix("Meta ")}", and keeps to Meta\'s acceptable '
            "use policy."
        )


def base_file(base: Base, source: str, name: str) -> Path | None:
    """Find one of the base's own files, or None.

    `source` is the folder or the Hub id that the base was loaded from; for an id the file comes
    from the Hub or its cache.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    try:
        return Path(hf_hub_download(base.name, name, revision=base.revision))
    except (OSError, ValueError):
        return None


def base_licence(base: Base, source: str) -> Licence:
    """Read the licence from the base's own card, or none."""
    if base.name == DEFAULT_BASE:
        return Licence("apache-2.0", link=f"https://pypi.org/project/{BASE_PACKAGE}/")
    card = base_file(base, source, "README.md")
    try:
        data = (metadata_load(card) if card else None) or {}
    except (ValueError, YAMLError):
        return Licence()
    name, link = data.get("license_name"), data.get("license_link")
    if not URL.fullmatch(str(link)):  # a card of others; "LICENSE" is a file beside it
        link = None
    return Licence(
        str(data.get("license") or UNKNOWN).replace("`", ""),
        str(name).replace("`", "") if name else None,
        str(link) if link else None,
    )
