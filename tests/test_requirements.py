"""What the Space installs: it fits what the builder adds, and is all that its files import."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FRONT = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1])
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
# On ZeroGPU the builder installs this with requirements.txt in one call, elsewhere nothing more.
BUILDERS = ["torch<=2.13.0"]


def pinned(path: Path) -> dict[str, str]:
    """Returns {package: version} of a requirements file's own lines."""
    lines = (
        line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()
    )
    return dict(
        re.fullmatch(r"([\w-]+)(?:\[\w+\])?==(\S+)", line).groups()
        for line in lines
        if line and line[0] != "-"
    )


def test_the_front_matter_is_one_that_the_hub_takes():
    assert FRONT["sdk"] == "gradio" and (ROOT / FRONT["app_file"]).is_file()
    assert {FRONT["colorFrom"], FRONT["colorTo"]} <= COLOURS and len(
        FRONT["short_description"]
    ) <= 60
    assert re.fullmatch(r"3\.\d+\.\d+", FRONT["python_version"]) and FRONT["license"] == "mit"


def test_the_sdk_is_the_gradio_that_is_pinned_and_tested():
    assert (
        FRONT["sdk_version"]
        == pinned(ROOT / "requirements.txt")["gradio"]
        == importlib.metadata.version("gradio")
    )


def test_every_import_of_the_space_is_installed_by_its_requirements():
    """Its files import what requirements.txt names, and nothing that comes with training alone."""
    roots = set()
    for path in [ROOT / "app.py", *(ROOT / "space").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [name.name for name in node.names]
                if isinstance(node, ast.Import)
                else ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            )
            roots |= {name.split(".")[0] for name in names}
    theirs = roots - set(sys.stdlib_module_names) - {"space", "spaces"}
    named = {name.replace("-", "_") for name in pinned(ROOT / "requirements.txt")}
    assert theirs <= named, theirs - named


@pytest.mark.slow
def test_the_space_starts_where_nothing_of_trainings_is_installed():
    own = set(pinned(ROOT / "requirements.txt")) | {"gradio_client"}
    banned = (
        {name.replace("-", "_") for name in pinned(ROOT / "train/requirements.txt")}
        - own
        - {
            # These come with what the Space itself installs.
            "httpx2",
            "jinja2",
            "orjson",
            "psutil",
            "pyarrow",
            "requests",
            "safetensors",
            "urllib3",
            "xxhash",
        }
    )
    program = f"""
import importlib.machinery
banned = {sorted(banned | {"train", "trl", "sklearn", "scipy"})!r}
find = importlib.machinery.PathFinder.find_spec
def find_allowed(name, path=None, target=None):
    return None if name.split(".")[0] in banned else find(name, path, target)
importlib.machinery.PathFinder.find_spec = staticmethod(find_allowed)
import app
print(app.demo.title)
"""
    assert {"datasets", "evaluate", "polars", "matplotlib"} <= banned
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "Shelftalk" in done.stdout, done.stderr


@pytest.mark.slow
def test_the_requirements_resolve_with_what_the_builder_adds(tmp_path):
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--dry-run",
            "--quiet",
            "--python-version",
            "3.12",
            "--only-binary=:all:",
            "--target",
            str(tmp_path / "there"),
            "--report",
            str(report),
            "-r",
            str(ROOT / "requirements.txt"),
            f"gradio[oauth,mcp]=={FRONT['sdk_version']}",
            "spaces",
            *BUILDERS,
        ],
        capture_output=True,
        text=True,
        timeout=280,
    )
    if (
        "No matching distribution found for torch==" in done.stderr
        and "from versions: none" in done.stderr
    ):
        pytest.skip("no package registry answers here")
    assert done.returncode == 0, done.stderr
    chosen = {
        item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"]
        for item in json.loads(report.read_text())["install"]
    }
    wanted = pinned(ROOT / "requirements.txt")
    assert {name: chosen[name] for name in wanted} == wanted and "spaces" in chosen
