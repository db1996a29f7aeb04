"""space/page/share.py: a link that others' pages show has the page's words, not gradio's."""

import re
import urllib.parse
import urllib.request

from space.page.share import render_tags
from space.texts import TEXTS
from tests.fake_engine import FakeEngine
from tests.serving import serving

EVIL = 'What is "a" <script>alert(1)</script>?'


def test_a_shared_question_is_the_links_title():
    with serving(FakeEngine(delay=0)) as address:
        query = urllib.parse.urlencode({"q": EVIL, "lang": "pt"})
        with urllib.request.urlopen(f"{address}?{query}", timeout=30) as answer:
            page = answer.read().decode()
        with urllib.request.urlopen(f"{address}config", timeout=30) as answer:
            assert answer.headers["content-type"].startswith("application/json")
    head = page.split("</head>")[0]
    tags = re.findall(r'<meta (?:property|name)="((?:og|twitter):\w+)" content="([^"]*)">', head)
    titles = [content for name, content in tags if name == "og:title"]
    assert titles == ["Shelftalk: What is &quot;a&quot; &lt;script&gt;alert(1)&lt;/script&gt;?"]
    assert head.count("og:") == len([name for name, _ in tags if name.startswith("og:")])
    assert TEXTS["lead"]["pt"] in head and "githubusercontent" not in head
    assert "<script>alert" not in page and 'content="@Gradio"' not in page


def test_without_a_question_the_page_has_its_name():
    assert render_tags("").startswith("<title>Shelftalk</title>")
    assert "<title>Shelftalk</title>" in render_tags("q=&lang=xx&%ff=%00")
    assert len(render_tags("q=" + "x" * 9000)) < 2000
