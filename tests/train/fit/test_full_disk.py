"""On a full disk nothing is left half-written, and the same command succeeds with room."""

import contextlib
import json
import re
import resource
import shutil
from pathlib import Path

import pytest

from space.model.base import load_base, load_tokenizer
from space.model.prompt_template import PromptTemplate
from tests.options import QUICK_FIT
from train.__main__ import main
from train.config import ConfigError, FitConfig
from train.fit.adapter import add_lora, save_adapter
from train.publish.checks import missing_files, problems
from train.publish.upload import adapter_files
from train.run import Run, RunError
from train.shop import write_catalogue

pytestmark = pytest.mark.slow
SCORE = ["--items", "3", "--shots", "0"]


@contextlib.contextmanager
def room_for(size):
    """The system itself refuses to write more than `size` bytes to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_base):
    """A run with an adapter that is not scored."""
    run = tmp_path_factory.mktemp("runs") / "lamps"
    source = run.with_name("trn.json")
    write_catalogue(source)
    source.write_text("".join(source.read_text().splitlines(keepends=True)[:150]))
    assert main(["prepare", str(source), "--run", str(run)]) == 0
    assert main(["fit", "--run", str(run), "--base", str(tiny_base), *QUICK_FIT]) == 0
    return run


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "lamps"))


def unfit(run):
    """What keeps a run from being published."""
    return problems(
        Run(run),
        list(adapter_files(Run(run)).values()),
        catalogue=False,
    )


@pytest.mark.parametrize(
    ("rank", "size"), [(8, 500), (8, 5_000), (8, 30_000), (1, 15_000)]
)  # at last the tokenizer is larger
def test_an_adapter_is_complete_or_absent(tmp_path, tiny_base, rank, size):
    model, base = load_base(str(tiny_base), training=True)
    model = add_lora(model, base, FitConfig(base=str(tiny_base), rank=rank))
    tokenizer, record = load_tokenizer(str(tiny_base)), {"base": {"name": base.name}}
    with pytest.raises((OSError, RunError), match=r"cannot be written|too large"), room_for(size):
        save_adapter(Run(tmp_path), model, tokenizer, PromptTemplate(), record)
    assert not (tmp_path / "adapter").exists()
    save_adapter(Run(tmp_path), model, tokenizer, PromptTemplate(), record)
    (tmp_path / "history.jsonl").write_text("{}\n")
    assert not any("train fit" in words for words in missing_files(Run(tmp_path), catalogue=False))


@pytest.mark.parametrize("size", [10_000, 60_000, 100_000])  # at last the optimizer
def test_a_checkpoint_without_room_is_one_line(trained, tmp_path, tiny_base, capfd, size):
    shutil.copytree(trained / "catalogue", tmp_path / "run" / "catalogue")
    fit = ["fit", "--run", str(tmp_path / "run"), "--base", str(tiny_base), *QUICK_FIT]
    with room_for(size):
        assert main([*fit, "--save-steps", "1"]) == 1
    written = capfd.readouterr()
    assert "Traceback" not in written.err
    assert re.search(r"^error: .*(cannot be written|too large)", written.err, re.M)
    assert main([*fit, "--save-steps", "1"]) == 0


def test_a_config_is_complete_or_absent(tmp_path):
    with pytest.raises(OSError), room_for(100):
        Run(tmp_path).keep_fit_config(FitConfig(base="x"))
    Run(tmp_path).keep_fit_config(FitConfig(base="x"))
    with pytest.raises(ConfigError, match="begun with other options"):
        Run(tmp_path).keep_fit_config(FitConfig(base="y"))


@pytest.mark.parametrize("size", [3_000, 20_000])
def test_an_evaluation_is_complete_or_absent(run, capsys, size):
    evaluate = ["evaluate", "--run", str(run), *SCORE]
    with room_for(size):
        assert main(evaluate) == 1
    assert "error: " in capsys.readouterr().err
    assert not (run / "adapter/README.md").exists() and any(
        "run `python -m train evaluate`" in words for words in unfit(run)
    )
    assert main(evaluate) == 0
    assert unfit(run) == []
    before = {path: path.read_bytes() for path in adapter_files(Run(run)).values()}
    # A second evaluation that finds no room leaves the first.
    with room_for(size):
        assert main(["evaluate", "--run", str(run), "--items", "2", "--shots", "0"]) == 1
    assert (
        before == {path: path.read_bytes() for path in adapter_files(Run(run)).values()}
        and unfit(run) == []
    )


def test_a_push_needs_room_for_its_note_alone(hub, run, capsys):
    publish = ["publish", "--run", str(run), "--to", "ana/lamps", "--no-catalogue"]
    assert main(["evaluate", "--run", str(run), *SCORE]) == 0
    with room_for(50):
        assert main(publish) == 1
    assert "File too large; the run is complete" in capsys.readouterr().err
    assert not (run / "published.json").exists() and len(hub.repo("ana/lamps").commits) == 2
    assert main(publish) == 0
    assert (
        json.loads((run / "published.json").read_text())["adapter"]["commit"]
        == hub.repo("ana/lamps").head
    )
