"""Few-shot prompts."""

from dataclasses import replace

from space.model.prompt_template import PromptTemplate
from train.examples.examples import Examples
from train.examples.few_shot import add_few_shot


def test_worked_examples_come_from_training_and_fit(made):
    roomy = Examples(
        [*made.train, *made.held_out],
        made.catalogue,
        made.tokenizer,
        PromptTemplate(),
        replace(made.config, max_length=1500),
        2000,
    )
    item = roomy.build_sets(1)["grounded"][0]
    shown = add_few_shot(roomy, item, 3)
    assert len(shown.history) == 6 and shown.text == item.text and shown.answer == item.answer
    assert [message["role"] for message in shown.history[:2]] == ["user", "assistant"]
    assert item.answer.split(" [")[0] not in str(shown.history)
    assert len(roomy.encode([shown])[0]["input_ids"]) <= roomy.window
    assert len(add_few_shot(made, item, 3).history) < 6


def test_the_base_is_also_shown_what_is_said_of_what_is_absent(made):
    roomy = Examples(
        [*made.train, *made.held_out],
        made.catalogue,
        made.tokenizer,
        PromptTemplate(),
        replace(made.config, max_length=1500),
        2000,
    )
    for name in ("grounded", "absent"):
        said = [
            message["content"]
            for message in add_few_shot(roomy, roomy.build_sets(1)[name][0], 3).history[1::2]
        ]
        absent = [
            any(text.startswith(words.split("{")[0]) for words in PromptTemplate().absent.values())
            for text in said
        ]
        assert absent == [True, False, False]
