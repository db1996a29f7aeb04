"""The invented catalogue: as dirty as a real one, and impossible to guess."""

import itertools
import json
import random
from collections import Counter

from tests.toy import TOY
from train import shop
from train.prepare import prepare_catalogue
from train.run import Run


def test_rows_are_trn_jsons_and_always_the_same():
    rows = list(itertools.islice(shop.generate_catalogue(), 50))
    assert rows == list(itertools.islice(shop.generate_catalogue(), 50))
    for row in rows:
        assert list(row) == ["uid", "title", "content", "target_ind", "target_rel"]
        assert len(row["target_ind"]) == len(row["target_rel"])


def test_it_holds_every_kind_of_dirt(tmp_path):
    rows = list(shop.generate_catalogue())
    contents = " ".join(row["content"] for row in rows)
    assert "&#8217;" in contents or "&nbsp;" in contents
    assert "<p>" in contents and "<br />" in contents and "test item not to bid" in contents
    assert any(not row["content"] for row in rows) and any(
        len(row["content"]) > 1500 for row in rows
    )
    assert any(len(row["content"].split()) == 1 for row in rows)
    path = tmp_path / "trn.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = prepare_catalogue(str(path), Run(tmp_path / "run"), progress=False)
    assert report["kept"] >= 2000
    assert {"no_content", "too_short", "junk", "duplicate_title"} <= set(report["dropped"])


def test_the_facts_cannot_be_guessed_from_the_title():
    rng = random.Random(0)
    items = [shop.draw_product(rng) for _ in range(4000)]
    assert all(len(item.facts) == 6 for item in items)
    for fact in ("material", "colour", "town", "use", "years", "weight"):
        for language in ("en", "pt"):
            kettles = [
                i.facts[fact]
                for i in items
                if i.language == language
                and i.title.split()[-1 if language == "en" else 0] in ("Kettle", "Chaleira")
            ]
            commonest = Counter(kettles).most_common(1)[0][1]
            assert commonest < len(kettles) / 2


def test_both_languages_are_there():
    languages = Counter(shop.draw_product(random.Random(seed)).language for seed in range(300))
    assert languages["pt"] > 50 and languages["en"] > 150


def test_the_reading_text_holds_no_prompt_wording_of_ours():
    from space.model.prompt_template import PromptTemplate

    text = "\n".join(itertools.islice(shop.generate_reading(), 500))
    prompt_template = PromptTemplate()
    for words in ("Summarize the text", "Answer from the records", "Question:", "Answer:", "[1]"):
        assert words not in text
    for asked in itertools.chain(*prompt_template.questions.values()):
        assert asked.split("{")[0] not in text


def test_the_committed_catalogue_is_the_generators(tmp_path):
    shop.write_catalogue(tmp_path / "trn.json")
    assert (tmp_path / "trn.json").read_text() == (TOY / "trn.json").read_text()
