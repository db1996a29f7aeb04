"""The house keeps its shape: rooms with one door, arrows one way, plain statements, true docs."""

import ast
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = sorted(path for folder in ("space", "train") for path in (ROOT / folder).rglob("*.py"))
SOURCES = [ROOT / "app.py", *PRODUCT]
ROOMS = {
    *("space.catalogue", "space.model", "space.evidence", "space.page"),
    *("train.prepare", "train.examples", "train.evaluate", "train.publish", "train.fit"),
}
# Whoever stands further right may import what stands further left, never the other way round.
SPACE = [
    {"space.texts", "space.settings", "space.errors", "space.snippets"},
    {"space.catalogue"},
    {"space.model"},
    {"space.evidence"},
    {"space.engine", "space.inside"},
    {"space.page"},
    {"app"},
]
TRAIN = [
    {"train.config", "train.run", "train.retry", "train.ranks", "train.generate"},
    {"train.prepare"},
    {"train.examples", "train.shop"},
    {"train.evaluate"},
    {"train.publish"},
    {"train.fit"},
    {"train.teacher", "train.modelfile"},
    {"train.pipeline"},
    {"train.merge", "train.refresh", "train.sample"},
    {"train.__main__"},
]
# What page/ may name of rooms that only engine.py calls: the types of what it is given and the
# names of the two columns.
PAGE_TYPES = {
    "space.model": {
        *("AnswerFigures", "COLUMNS", "Column", "ExplainedToken", "Figures", "Turn"),
        # The numbers of the tab How it works.
        *("AdapterChange", "Attention", "Guess", "Guesses", "LayerChange", "NamedHead"),
        *("Neighbour", "Place", "PrecisionCost", "Snapshots", "TokenReading", "Word"),
        "WordNeighbours",
    },
    "space.catalogue": {"Hit", "Record", "Span"},
}


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    """The room that a module is in; a module beside the rooms is its own."""
    package = ".".join(module.split(".")[:2])
    return package if package in ROOMS else module


MODULES = {module_of(path): path for path in SOURCES}


def imports(path):
    """Yields (module, name) of each import anywhere in a file; name is None for `import x`."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                if f"{node.module}.{alias.name}" in MODULES:
                    yield f"{node.module}.{alias.name}", None
                else:
                    yield node.module, alias.name


def ours(path):
    return [(module, name) for module, name in imports(path) if module in MODULES]


def named(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_room_is_entered_by_its_door(path):
    mine = room_of(module_of(path))
    past = {
        module
        for module, _ in ours(path)
        if room_of(module) in ROOMS and room_of(module) != mine and module != room_of(module)
    }
    assert not past


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_arrows_go_one_way(path):
    order = SPACE + TRAIN
    mine = room_of(module_of(path))
    if mine in ("space", "train"):
        return
    (rank,) = [place for place, names in enumerate(order) if mine in names]
    allowed = set().union(*order[:rank]) - ({"app"} if rank >= len(SPACE) else set())
    used = {room_of(module) for module, _ in ours(path)} - {mine, "space", "train"}
    # Files beside the rooms of one rank may know one another, without circles.
    used -= {name for name in order[rank] if name not in ROOMS}
    assert used <= allowed, used - allowed


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_door_says_what_it_is_for_and_opens_only_what_is_used(room):
    door = ROOT / room.replace(".", "/") / "__init__.py"
    exported = {name for _, name in ours(door)}
    (listed,) = [
        ast.literal_eval(node.value)
        for node in parse(door).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    ]
    assert ast.get_docstring(parse(door)) and listed == sorted(listed, key=sort_key)
    assert set(listed) == exported
    others = [path for path in SOURCES if room_of(module_of(path)) != room]
    others += [path for name in ("tests", "bench") for path in (ROOT / name).rglob("*.py")]
    used = set()
    for path in others:
        used |= {name for module, name in imports(path) if module == room}
    assert exported <= used, f"nobody uses {exported - used}"


def sort_key(name):
    """The order of `ruff`'s sorted __all__: constants, classes, the rest."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def test_no_module_imports_itself_by_way_of_others():
    graph = {}
    for module, path in MODULES.items():
        graph[module] = {other for other, _ in ours(path)} - {module}
    for room in ROOMS | {"space", "train"}:
        graph.pop(room, None)  # a door imports its room by nature
    reached = {module: closure(module, graph) for module in graph}
    circles = {module for module in graph if module in reached[module]}
    assert not circles, sorted(circles)


def closure(start, graph):
    found, waiting = set(), list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += graph.get(module, ())
    return found


@pytest.mark.parametrize(
    "path", [path for path in PRODUCT if path.is_relative_to(ROOT / "space")], ids=named
)
def test_space_never_imports_train_nor_what_only_training_needs(path):
    roots = {module.split(".")[0] for module, _ in imports(path)}
    heavy = {"datasets", "evaluate", "polars", "rouge_score", "matplotlib"}
    assert not roots & {"train", "spaces", *heavy}


@pytest.mark.parametrize(
    "path", [path for path in PRODUCT if "space/page/" in path.as_posix()], ids=named
)
def test_the_page_asks_the_engine_and_names_only_types_of_the_rooms_behind_it(path):
    behind = {}
    for module, name in ours(path):
        if module in PAGE_TYPES:
            behind.setdefault(module, set()).add(name)
    for module, names in behind.items():
        assert names <= PAGE_TYPES[module]


@pytest.mark.parametrize("folder", ["train/prepare", "space/catalogue"])
def test_cleaning_and_searching_need_no_torch(folder):
    for path in (ROOT / folder).glob("*.py"):
        for node in parse(path).body:  # an import inside a function is for those who call it
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"torch", "transformers", "space.model"}, named(path)


def test_the_prompt_needs_nothing_but_the_standard_library():
    names = {module for module, _ in imports(ROOT / "space/model/prompt.py")}
    names |= {module for module, _ in imports(ROOT / "space/model/prompt_template.py")}
    names -= {"space.model.prompt_template", "space.catalogue", "space.errors", "space.texts"}
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_the_environment_is_read_in_settings_alone(path):
    text = path.read_text(encoding="utf-8")
    if path.name != "settings.py":
        assert not re.search(r"os\.(environ(?!\.setdefault\(\"TOKENIZERS)|getenv)", text)
    if path.name not in ("api.py", "app.py"):
        assert "gr.Error" not in text


COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def own_nodes(statement):
    """Yields the nodes of a statement without those of the statements inside it."""
    waiting = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        for name, value in ast.iter_fields(node):
            if name in BLOCKS and isinstance(node, ast.stmt | ast.excepthandler):
                continue
            children = value if isinstance(value, list) else [value]
            waiting += [child for child in children if isinstance(child, ast.AST)]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_one_comprehension_a_statement_with_one_for_and_no_walrus(path):
    dense = []
    for statement in ast.walk(parse(path)):
        if not isinstance(statement, ast.stmt):
            continue
        found = [node for node in own_nodes(statement) if isinstance(node, COMPREHENSIONS)]
        walrus = any(isinstance(inner, ast.NamedExpr) for node in found for inner in ast.walk(node))
        if len(found) > 1 or any(len(node.generators) > 1 for node in found) or walrus:
            dense.append(statement.lineno)
    assert not dense, f"{named(path)}: lines {dense}"


VAGUE = re.compile(r"^(Returns|Yields|Gives|Whether|What|The|A|An|Which) ")


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_docstring_begins_with_a_short_imperative(path):
    tree = parse(path)
    assert ast.get_docstring(tree) or path.name == "__init__.py"
    wrong = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or not (text := ast.get_docstring(node)):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if decorators & {"property", "cached_property"}:
            continue  # a property is named, not done
        first = text.splitlines()[0]
        if len(first.split()) > 12 or ";" in first or VAGUE.match(first):
            wrong.append(f"{node.lineno}: {first}")
    assert not wrong, f"{named(path)}: {wrong}"


def test_no_forbidden_shortcuts():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bpickle\b|trust_remote_code=True|verify=False", text), path.name


def test_the_space_front_matter_is_what_the_tests_ran_with():
    import gradio

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    front = dict(re.findall(r"^(\w+): (.+)$", readme.split("---")[1], re.MULTILINE))
    requirements = (ROOT / "requirements.txt").read_text()
    assert set(front) >= {"title", "emoji", "colorFrom", "colorTo", "sdk", "app_file", "license"}
    assert front["sdk"] == "gradio" and front["app_file"] == "app.py" and front["license"] == "mit"
    assert front["sdk_version"] == gradio.__version__
    assert f"gradio[mcp]=={gradio.__version__}" in requirements and "torch==2.13.0" in requirements
    assert front["python_version"] == '"3.12.12"'
    assert len(front["short_description"]) <= 60


# --- docs ---


FILES = re.compile(r"(?<=<!-- files -->\n).*(?=<!-- /files -->)", re.DOTALL)
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def file_list():
    """The list of modules in docs/architecture.md: each file with its docstring's first line."""
    lines = []
    for path in sorted(SOURCES, key=lambda path: (named(path) != "app.py", named(path))):
        summary = (ast.get_docstring(parse(path)) or "").split("\n")[0]
        if summary:
            lines.append(f"- `{named(path)}`: {summary}")
    return "\n".join(lines) + "\n"


def test_the_architecture_page_lists_every_file():
    """To write it anew: python -m tests.test_architecture."""
    assert FILES.search(ARCHITECTURE.read_text(encoding="utf-8"))[0] == file_list()


def test_the_readme_is_short():
    body = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]
    assert len(body.split()) <= 1200


def test_every_setting_option_verb_and_endpoint_is_documented():
    from space.settings import NUMBERS
    from train.__main__ import VERBS
    from train.config import flag

    docs = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
    names = ["BASE_MODEL", "BASE_REVISION", "ADAPTER", "ADAPTER_REVISION", "CATALOGUE"]
    names += [
        "CATALOGUE_REVISION",
        "PRECISION",
        "VOTES_DIR",
        "VOTES_REPO",
        "TRUSTED_PROXIES",
        "METRICS",
    ]
    for name in [*names, *NUMBERS]:
        assert f"`{name}`" in docs["settings.md"], name
    for name, verb in VERBS.items():
        assert f"train {name}" in docs["settings.md"], name
        for config in verb.configs:
            for option in fields(config):
                assert f"`{flag(option.name)}" in docs["settings.md"], option.name
    for endpoint in ("/answer", "/summarize", "/explain", "/search", "/info"):
        assert f"`{endpoint}`" in docs["api.md"], endpoint


if __name__ == "__main__":
    page = ARCHITECTURE.read_text(encoding="utf-8")
    ARCHITECTURE.write_text(FILES.sub(lambda _: file_list(), page), encoding="utf-8")
