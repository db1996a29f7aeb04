"""space/page/html/summaries.py: what the summaries rest on as HTML, whatever is in them."""

import re

from space.page.html import summaries
from space.texts import html
from tests.languages import visible_text

TEXT = "The lamp is made of brass. It weighs 3 kg. It burns oil for nine hours. It hangs or stands."


def test_equal_numbers_name_what_rests_on_what():
    (base, tuned), section = summaries.mark_sources(
        TEXT, len(TEXT), "It burns oil. A gift.", "A brass lamp; it weighs 4 kg. Oil burns."
    )
    assert re.findall(r'href="#source-(\d)"', base) == ["3"] and re.findall(
        r'href="#source-(\d)"', tuned
    ) == ["1", "2", "3"]
    assert html("rests_on_nothing") in base and html("rests_on_nothing") not in tuned
    assert '<span class="unfounded">A gift.</span>' in base
    assert (
        html("rests_without", numbers="4") in tuned and '<span class="unfounded">4</span>' in tuned
    )
    marks = re.findall(r'<mark id="source-(\d)" class="([\w ]+)"', section)
    assert marks == [("1", "tuned"), ("2", "tuned"), ("3", "base tuned")]
    assert "rest on 3 sentences" in visible_text(
        section
    ) and "Base, Tuned: It burns oil for nine hours." in visible_text(section)
    assert "Base, Ajustado: It burns oil" in visible_text(section, "pt")
    assert visible_text(section).count(
        "It hangs or stands."
    ) == 1 and "rest on sentence" not in visible_text(section)


def test_the_text_stays_word_for_word():
    for text in (TEXT, "# A\n\n- b\n- c 3,5\n", "هل هو جيد؟ نعم.", "no mark", "🎉"):
        (base, _), section = summaries.mark_sources(text, len(text), text, "")
        shown = re.search(r'region".*?>(.*)</div><div class="key"', section, re.S)[1]
        assert (
            visible_text(re.sub(r'<b>\d+</b><span class="spoken">.*?: </span>', "", shown)) == text
        )
        assert visible_text(re.sub(r' <span class="rests">(<a.*?</a>)+</span>', "", base)) == text


def test_where_the_models_stopped_reading():
    read = TEXT.index("It burns")
    (base, _), section = summaries.mark_sources(TEXT, read, "It burns oil for nine hours.", "")
    assert html("rests_on_nothing") in base and html("source_nothing") in section
    before, after = section.split(html("source_stopped"))
    assert (
        "weighs 3 kg" in before
        and "It burns oil for nine hours. It hangs" in after
        and "<mark id" not in section
    )
    assert html("source_stopped") not in summaries.mark_sources(TEXT, len(TEXT), "Oil", "")[1]


def test_everything_from_outside_is_escaped():
    evil = '<script>alert("1")</script> & <img src=x>'
    (base, tuned), section = summaries.mark_sources(evil, len(evil) - 5, evil, f"{evil} 77")
    for shown in (base, tuned, section):
        assert "<script" not in shown and "<img" not in shown and "&lt;script&gt;" in shown


def test_lengths_and_the_share_of_the_text():
    assert (
        visible_text(summaries.render_lengths("It burns oil.", TEXT))
        == "3 words, 13 characters · 14% of the text"
    )
    assert (
        visible_text(summaries.render_lengths("Oil", "x" * 1000), "pt")
        == "1 palavra, 3 caracteres · 0,3% do texto"
    )
    assert (
        visible_text(summaries.render_lengths("x " * 600, "x" * 400))
        == "600 words, 1,200 characters · 300% of the text"
    )
    assert visible_text(summaries.render_lengths("", TEXT)).startswith("0 words")


def test_nothing_written_rests_on_nothing():
    (base, tuned), section = summaries.mark_sources(TEXT, len(TEXT), "", "")
    assert (base, tuned) == ("", "") and html("source_nothing") in section
