"""The house keeps its shape: one arrow, small rooms, a true README."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(path for folder in ("space", "train") for path in (ROOT / folder).rglob("*.py"))
SOURCES = [ROOT / "app.py", *MODULES]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def imports(path):
    """The dotted names that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.is_relative_to(ROOT / "space")], ids=named
)
def test_space_never_imports_train_nor_what_only_training_needs(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {
        "train",
        "spaces",
        "datasets",
        "evaluate",
        "polars",
        "rouge_score",
        "matplotlib",
    }


def test_the_prompt_needs_nothing_but_the_standard_library():
    import sys

    names = {
        *imports(ROOT / "space/model/prompt.py"),
        *imports(ROOT / "space/model/prompt.py"),
        *imports(ROOT / "space/texts.py"),
    }
    names -= {"space.model.prompt", "space.texts"}
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_the_environment_is_read_in_settings_alone(path):
    text = path.read_text(encoding="utf-8")
    if path.name != "settings.py":
        assert not re.search(r"os\.(environ(?!\.setdefault\(\"TOKENIZERS)|getenv)", text)
    if path.name not in ("endpoints.py", "app.py"):
        assert "gr.Error" not in text


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_rooms_are_small_and_say_what_they_are_for(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 250
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 40, node.name


def test_no_forbidden_shortcuts():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bpickle\b|trust_remote_code|verify=False", text), path.name


def test_the_readmes_tree_says_what_the_modules_say():
    """Each module of the tree has one line there, its own docstring's first words."""
    for path in SOURCES:
        if path.name == "__init__.py":
            continue
        summary = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
        assert re.search(
            rf"^\s*{re.escape(path.name)}\s+{re.escape(summary)}$", README, re.MULTILINE
        ), f"{named(path)}: {summary}"


def test_the_space_front_matter_is_what_the_tests_ran_with():
    import gradio

    front = dict(re.findall(r"^(\w+): (.+)$", README.split("---")[1], re.MULTILINE))
    requirements = (ROOT / "requirements.txt").read_text()
    assert set(front) >= {"title", "emoji", "colorFrom", "colorTo", "sdk", "app_file", "license"}
    assert front["sdk"] == "gradio" and front["app_file"] == "app.py" and front["license"] == "mit"
    assert front["sdk_version"] == gradio.__version__
    assert f"gradio[mcp]=={gradio.__version__}" in requirements and "torch==2.13.0" in requirements
    assert front["python_version"] == '"3.12.12"'
    assert len(front["short_description"]) <= 60


def test_every_setting_and_verb_is_documented():
    from space import settings
    from train.__main__ import VERBS

    for name in (
        "BASE_MODEL",
        "BASE_REVISION",
        "ADAPTER",
        "ADAPTER_REVISION",
        "CATALOGUE",
        "PRECISION",
        "VOTES_DIR",
        "VOTES_REPO",
        *settings.NUMBERS,
    ):
        assert f"`{name}`" in README, name
    for verb in VERBS:
        assert f"train {verb}" in README, verb
    for endpoint in ("/answer", "/summarize", "/explain", "/search", "/info"):
        assert endpoint in README
