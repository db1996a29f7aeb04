"""The model card: complete, valid for the Hub's own readers, and every snippet runs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard, ModelCardData, metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results

from space.evidence.findings import METRICS
from space.model.base import Base
from space.model.decode import complete, decode_text
from space.model.pair import load_pair
from space.model.prompt import prompt_ids
from tests.scored import lines, metrics_of, scored
from train.evaluate.samples import read_samples
from train.prepare.fetch import hub_dataset
from train.publish.card import (
    CardError,
    Licence,
    adapter_card,
    adapter_metadata,
    base_licence,
    fill_card,
    for_repository,
    quote_python,
    sample_pairs,
)
from train.publish.checks import card_problems
from train.run import Run

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LLAMA = Base("meta-llama/Llama-3.1-8B-Instruct", COMMIT)


@pytest.fixture(scope="module")
def text(tuned_run):
    return (tuned_run / "adapter" / "README.md").read_text()


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_every_value_is_filled_in_as_it_is_and_a_missing_one_is_named(tmp_path):
    template, data = tmp_path / "card.md", ModelCardData(license="mit")
    template.write_text(
        "---\n{{ card_data }}\n---\n"
        "{{ name }}{% if more %} & more{% endif %}, sha256 {{ sha256 }}\n"
    )
    values = {"name": "<b> & {{ sha256 }}", "sha256": "ab", "more": "yes"}
    card = "---\nlicense: mit\n---\n<b> & {{ sha256 }} & more, sha256 ab\n"
    assert fill_card(template, data, values) == card
    with pytest.raises(CardError, match=r"card.md needs values for more, name, sha256"):
        fill_card(template, data, {})


@pytest.mark.slow
def test_the_card_holds_what_a_reader_needs(text, tuned_run):
    record = json.loads((tuned_run / "adapter/run.json").read_text())
    for name, value in record["config"].items():
        assert f"| {name} | {value} |" in text
    report = json.loads((tuned_run / "catalogue/report.json").read_text())
    assert (
        report["source"]["sha256"] in text
        and record["base"]["revision"] in text
        and record["hardware"] in text
    )
    for reason, count in report["dropped"].items():
        assert f"| {reason} | {count} |" in text
    assert "| entities |" in text and "held out" in text
    assert (
        "plots/before_after.png" in text and "plots/loss.png" in text and "difference [95%]" in text
    )
    assert (
        "licence of the base is not known" in text
        and "`tiny-llama`, must be where this is run" in text
    )
    assert "{text}" in text.split("What it was taught to be asked")[1].split("##")[0]
    assert "--generation-config vllm\n" in text and "vllm-bnb-plugin" in text
    assert "convert_lora_to_gguf.py $ADAPTER" in text


@pytest.mark.slow
def test_the_hubs_own_readers_understand_the_metadata(text, tuned_run):
    told = metadata_load(tuned_run / "adapter" / "README.md")
    assert told["library_name"] == "peft" and told["pipeline_tag"] == "text-generation"
    assert (
        told["base_model_relation"] == "adapter"
        and told["license"] == "unknown"
        and told["language"] == ["en", "pt"]
    )
    assert "base_model" not in told and "datasets" not in told  # folders both
    name, results = model_index_to_eval_results(told["model-index"])
    metrics = json.loads((tuned_run / "metrics.json").read_text())
    assert name == "tiny-llama-shop"
    assert {
        (result.dataset_split, result.metric_type): result.metric_value for result in results
    } == {
        (title, metric): value
        for title, scores in metrics.items()
        for metric, value in scores["tuned"].items()
        if metric in METRICS and metric in scores["difference"]
    }
    change = metrics["seen"]["difference"]["rougeL"]
    shown = next(
        r.metric_name for r in results if (r.dataset_split, r.metric_type) == ("seen", "rougeL")
    )
    assert (
        f"over the base {change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
        in shown
    )
    assert ModelCard(text).data.eval_results == results


def test_a_base_and_a_data_set_of_the_hub_are_named_as_such():
    report = {"source": {"name": "music:train", "dataset": "shop/music"}, "languages": {"pt": 3}}
    metrics = metrics_of(lines())
    data = adapter_metadata("x", LLAMA, Licence("llama3.1"), report, metrics, {})
    told = ModelCard(f"---\n{data.to_yaml()}\n---\n").data
    assert told.base_model == LLAMA.name and told.license == "llama3.1" and told.language == ["pt"]
    assert told.datasets == ["shop/music"] and told.eval_results[0].dataset_type == "shop/music"
    assert hub_dataset("shop/music:train") == "shop/music"
    assert hub_dataset("shop/trn.json") is None and hub_dataset("https://shop.example/a") is None


# bitsandbytes' own CPU kernel rounds in another way than the page and a GPU do, and the tiny
# model's tokens are near ties. Without it they are the same.
AS_ON_A_GPU = (
    "import bitsandbytes.nn.modules\nbitsandbytes.nn.modules.has_avx512bf16 = lambda: False\n"
)


@pytest.mark.slow
def test_every_snippet_runs_as_it_stands_and_says_what_the_page_says(
    text, tuned_run, tiny_base, tmp_path
):
    """In a folder with adapter and base alone, under the names that the card gives them."""
    (tmp_path / "adapter").symlink_to(tuned_run / "adapter")
    name = json.loads((tuned_run / "adapter/adapter_config.json").read_text())[
        "base_model_name_or_path"
    ]
    (tmp_path / name).symlink_to(tiny_base)
    programs = blocks(text, "python")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", AS_ON_A_GPU + program],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        for program in programs
    ]
    said, wrong = zip(*(process.communicate(timeout=120) for process in started), strict=True)
    assert len(said) == 3 and not any(process.returncode for process in started), [
        words[-2000:] for words in wrong
    ]
    pair = load_pair(str(tiny_base), str(tuned_run / "adapter"))
    question = json.loads((tuned_run / "samples.jsonl").read_text().splitlines()[0])["question"]
    prompt = prompt_ids(pair.tokenizer, pair.prompt_template, "describe", question)
    page = decode_text(pair, complete(pair, [prompt], 60, tuned=True)[0])
    assert page and said[1].strip().rstrip("\ufffd").strip() == page
    assert all(words.strip() for words in said)


@pytest.mark.slow
def test_on_the_hub_every_snippet_loads_from_there(text, tuned_run):
    there = for_repository(text, "me/shop", catalogue="me/shop-catalogue")
    assert len(re.findall(r'^adapter = "me/shop"$', there, re.MULTILINE)) == 3
    assert "ADAPTER=$(hf download --quiet me/shop)" in there and 'adapter = "adapter"' not in there
    assert text.count("](../plots/") == there.count("](plots/") == 2 and "../plots" not in there
    for place in re.findall(r"\]\((\.\./plots/.*?)\)", text):
        assert (tuned_run / "adapter" / place).is_file()
    before, after = ModelCard(text), ModelCard(there)
    assert (
        after.data.datasets == ["me/shop-catalogue"]
        and after.data.eval_results == before.data.eval_results
    )
    assert for_repository(there, "me/shop", catalogue="me/shop-catalogue") == there
    assert 'adapter = "you/other"' in for_repository(there, "you/other")
    with pytest.raises(CardError, match="run evaluate again"):
        for_repository("# a card of someone else's", "me/shop")


def line(base, tuned, reference="the kettle is blue"):
    made = {"set": "seen", "question": "What?", "base": base, "tuned": tuned}
    return made | {"reference": reference}


def test_a_pair_where_the_tuned_answer_is_worse_is_always_shown():
    items = scored(
        [
            line("a lamp", "the kettle is blue"),
            line("the kettle is red", "the kettle is blue"),
            line("the kettle is blue", "a | lamp <b>"),
        ]
    )
    shown = sample_pairs(items)
    assert "worse than the base's in 1 of 3" in shown
    worst = shown.split("**Worse than the base** (seen): token F1 1.00 to 0.00")[1]
    assert "a &#124; lamp &#60;b&#62;" in worst
    assert "none of the 2 tuned answers is worse" in sample_pairs(items[:2])
    assert "Helped least" in sample_pairs(items[:2])


LIVE = (
    "![p](http://evil.example/p.png) [a](b) www.evil.example <img> $x$ `c` @ana \\(y\\) {{ base }}"
)


def test_what_a_record_brings_is_text_in_the_card():
    """Rendered, it reads as it was written, and nothing of it is live."""
    from html.parser import HTMLParser

    from markdown_it import MarkdownIt

    shown = sample_pairs(scored([line(LIVE, LIVE, LIVE)] * 3))
    assert "{{" not in shown and not list(card_problems_of_placeholders(shown))
    tags, texts = set(), []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.add(tag)
    parser.handle_data = texts.append
    parser.feed(MarkdownIt("gfm-like", {"linkify": False}).render(shown))
    assert tags <= {"p", "table", "thead", "tbody", "tr", "th", "td", "strong"}
    assert "".join(texts).count(LIVE) == 9
    assert "http:" not in shown and "www." not in shown


def card_problems_of_placeholders(text):
    return [each for each in card_problems(text) if "nothing filled in" in each]


def test_a_question_with_braces_stays_the_same_string_of_python():
    for text in (LIVE, "{{{{ base }}}}", "\\{{ base }}"):
        quoted = quote_python(text)
        assert ast.literal_eval(quoted) == text and not card_problems_of_placeholders(quoted)
    assert card_problems_of_placeholders("{{ base }}")  # as one is that was not filled in


def test_the_licence_of_a_base_brings_no_markup(tmp_path):
    (tmp_path / "README.md").write_text(
        "---\nlicense: 'x` ![p](http://a.example/p.png)'\nlicense_name: 'y` <b>'\n"
        "license_link: 'http://a.example) ![p](http://a.example/p.png'\n---\n"
    )
    licence = base_licence(Base("ours", "sha256:0"), str(tmp_path))
    words = licence.describe(Base("ours", "sha256:0"))
    assert "`y <b>`" in words and words.count("`") == 2 and "a.example" not in words


def test_the_bases_licence_is_carried_on(tmp_path):
    base = Base("ours", "sha256:0")
    (tmp_path / "README.md").write_text(
        "---\nlicense: other\nlicense_name: shop-1\nlicense_link: https://x.example/l\n---\n"
    )
    licence = base_licence(base, str(tmp_path))
    assert licence.metadata() == {
        "license": "other",
        "license_name": "shop-1",
        "license_link": "https://x.example/l",
    }
    assert "`shop-1` ([text](https://x.example/l))" in licence.describe(base)


@pytest.mark.parametrize(
    "words", [None, "no metadata", "---\nlicense: [\n---\n", "---\ntags: [x]\n---\n"]
)
def test_a_licence_that_cannot_be_read_is_not_guessed(tmp_path, words):
    if words is not None:
        (tmp_path / "README.md").write_text(words)
    assert base_licence(Base("ours", "sha256:0"), str(tmp_path)) == Licence("unknown")


def test_the_licence_of_a_base_on_the_hub_comes_from_its_card(tmp_path):
    from huggingface_hub.constants import HF_HUB_CACHE

    assert base_licence(LLAMA, LLAMA.name) == Licence("unknown")  # offline, and never downloaded
    folder = os.path.join(HF_HUB_CACHE, "models--meta-llama--Llama-3.1-8B-Instruct")
    os.makedirs(f"{folder}/snapshots/{COMMIT}")
    try:
        with open(f"{folder}/snapshots/{COMMIT}/README.md", "w") as file:
            file.write("---\nlicense: llama3.1\n---\n")
        licence = base_licence(LLAMA, LLAMA.name)
    finally:
        shutil.rmtree(folder)
    assert licence.metadata() == {"license": "llama3.1"}
    words = licence.describe(LLAMA)
    licensed = "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright ©"
    assert f"**Built with Llama.** {licensed}" in words
    assert 'begins with "Llama"' in words and f"https://huggingface.co/{LLAMA.name}" in words
    assert "Built with" not in Licence("apache-2.0").describe(LLAMA)


@pytest.mark.slow
def test_for_a_base_on_the_hub_the_snippets_pin_its_commit(tuned_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tuned_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    record = json.loads((run / "adapter/run.json").read_text())
    (run / "adapter/run.json").write_text(
        json.dumps(
            record
            | {
                "base": {"name": LLAMA.name, "revision": COMMIT},
                "config": record["config"] | {"rank_stabilized": True},
            }
        )
    )
    items = read_samples(Run(run))
    items[0] = replace(items[0], question='What is "A\\B"\'s {title}?')
    metrics = json.loads((run / "metrics.json").read_text())
    there = adapter_card(Run(run), LLAMA.name, metrics, items, 1, {"items": 1, "records": 2})
    assert f'"{LLAMA.name}", revision="{COMMIT}", quantization_config' in there
    assert f"vllm serve {LLAMA.name} --revision {COMMIT} --enable-lora --max-lora-rank 8 " in there
    for program in blocks(there, "python"):
        compile(program, "card", "exec")
        assert r'''"What is \"A\\B\"'s {title}?"''' in program
    assert "LoRA of rank 4, rank-stabilized on all linear layers" in there
    assert f"base_model: {LLAMA.name}" in there and "accept its terms" in there
