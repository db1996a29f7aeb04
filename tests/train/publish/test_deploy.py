"""The Space from the deploy command to its page: what is sent and pinned, and that it runs."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from huggingface_hub import snapshot_download

from space.catalogue.index import build_index
from space.settings import DEFAULT_BASE
from train.__main__ import main
from train.publish.deploy import VARIABLES, space_files

ROOT = Path(__file__).resolve().parents[3]
TITLE = "Dovenka Kettle"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def shop(hub, tmp_path, tiny_base, adapter):
    """A Hub with a base, an adapter for it and its catalogue, all ana's."""
    hub.create("ana/tiny").commit(contents(tiny_base))
    base = {"name": "ana/tiny", "revision": hub.repo("ana/tiny").head}
    hub.create("ana/shop-adapter").commit(
        contents(adapter) | {"run.json": json.dumps({"base": base}).encode()}
    )
    build_index(
        [("u1", TITLE, "The Dovenka Kettle is oak. " * 3)], tmp_path / "catalogue" / "index"
    )
    hub.create("ana/shop-catalogue", "datasets").commit(
        contents(tmp_path / "catalogue") | {"records/part-00000.parquet": b"not for the page"}
    )
    return hub


def deploy(*options: str) -> int:
    return main(["deploy", "--to", "ana/shop", *options])


SHOP = ("--adapter", "ana/shop-adapter", "--catalogue", "ana/shop-catalogue")


@contextmanager
def running(folder: Path, environ: dict[str, str]):
    """Runs app.py as a Space does and yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder.parent / "app.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SPACE_ID": "ana/shop", "PORT": str(port), **environ},
        )
        try:
            for _ in range(300):
                assert process.poll() is None, log.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/", log
        finally:
            process.terminate()
            process.wait(20)


def pulled(hub, tmp_path) -> tuple[Path, dict[str, str]]:
    """Returns an empty folder with what the Space's repository holds, and its variables."""
    folder = Path(snapshot_download("ana/shop", repo_type="space", local_dir=tmp_path / "app"))
    shutil.rmtree(folder / ".cache")
    return folder, {
        key: each["value"] for key, each in hub.repo("ana/shop", "spaces").variables.items()
    }


@pytest.mark.slow
def test_the_space_runs_from_what_was_deployed(shop, tmp_path):
    from gradio_client import Client

    assert deploy(*SHOP) == 0
    heads = {
        name: shop.repo(f"ana/{name}", kind).head
        for name, kind in (
            ("tiny", "models"),
            ("shop-adapter", "models"),
            ("shop-catalogue", "datasets"),
        )
    }
    for name, kind in (
        ("tiny", "models"),
        ("shop-adapter", "models"),
        ("shop-catalogue", "datasets"),
    ):
        shop.repo(f"ana/{name}", kind).commit(
            {"config.json": b"", "adapter_config.json": b"", "index/meta.json": b""}
        )
    folder, variables = pulled(shop, tmp_path)
    assert not (folder / "space/sample").exists() and not (folder / "train").exists()
    with running(folder, variables | shop.environ(tmp_path / "home", token="")) as (address, log):
        client = Client(address, verbose=False)
        info = client.predict(api_name="/info")
        assert (info["base"], info["base_revision"]) == ("ana/tiny", heads["tiny"])
        assert (info["adapter"], info["adapter_revision"]) == (
            "ana/shop-adapter",
            heads["shop-adapter"],
        )
        steps = list(client.submit(f"What is the {TITLE}?", True, 12, 0.0, api_name="/answer"))
        assert len(steps) > 5 and steps[-1][0] and steps[-1][1] and steps[-1][2][0]["uid"] == "u1"
        assert not any(path.endswith(".parquet") for _, path in shop.requests)
        assert "Traceback" not in log.read_text()


@pytest.mark.slow
def test_a_space_whose_base_is_gated_says_so_and_how_to_mend_it(shop, tmp_path, capsys):
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    shop.repo("ana/tiny").gated = True
    assert deploy(*SHOP) == 0
    said = capsys.readouterr().out
    assert (
        "the base ana/tiny is gated" in said
        and "a secret named HF_TOKEN" in said
        and shop.token not in said
    )
    folder, variables = pulled(shop, tmp_path)
    bob = shop.environ(tmp_path / "home", token=list(shop.tokens)[1])
    with running(folder, variables | bob) as (address, log):
        page = urllib.request.urlopen(address).read().decode()
        for words in (
            "ana/tiny is gated",
            "This Space cannot answer yet",
            "Este Space ainda não pode responder",
            "HF_TOKEN",
            "https://huggingface.co/ana/tiny",
        ):
            assert words in page
        client = Client(address, verbose=False)
        for endpoint, given in (
            ("/info", []),
            ("/answer", ["What?"]),
            ("/search", ["What?"]),
            ("/summarize", ["What?"]),
        ):
            with pytest.raises(AppError, match="base ana/tiny is gated"):
                client.predict(*given, api_name=endpoint)
        assert "shelftalk: base ana/tiny is gated" in log.read_text()
        assert "Traceback" not in log.read_text() and bob["HF_TOKEN"] not in log.read_text() + page
    terminal = {
        key: value for key, value in {**os.environ, **variables, **bob}.items() if key != "SPACE_ID"
    }
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=folder,
        env=terminal,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (
        done.returncode == 1
        and done.stderr.startswith("shelftalk: base ana/tiny is gated")
        and done.stderr.count("\n") == 1
    )


def test_it_sends_the_files_that_the_space_needs_and_no_more(shop):
    assert deploy(*SHOP) == 0
    space = shop.repo("ana/shop", "spaces")
    tracked = {
        path
        for path in subprocess.run(
            ["git", "ls-files", "space"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        if not path.startswith("space/sample/")
    }
    if tracked:
        assert tracked <= set(space.files)
    assert {path for path in space.files if not path.startswith("space/")} == {
        ".gitattributes",
        "README.md",
        "app.py",
        "requirements.txt",
        "LICENSE",
        "thumbnail.png",
    }
    assert not any("space/sample/" in path or "__pycache__" in path for path in space.files)
    assert (len(space.commits), space.sdk) == (2, "gradio")
    front = yaml.safe_load(space.files["README.md"].decode().split("---\n")[1])
    assert front["models"] == ["ana/tiny", "ana/shop-adapter"] and front["datasets"] == [
        "ana/shop-catalogue"
    ]
    assert front["app_file"] == "app.py" and "](docs/" not in space.files["README.md"].decode()


def test_a_second_deploy_changes_nothing_and_an_update_only_what_is_new(shop):
    assert deploy(*SHOP) == 0
    space = shop.repo("ana/shop", "spaces")
    pins = dict(space.variables)
    shop.requests.clear()
    assert deploy(*SHOP) == 0
    assert len(space.commits) == 2 and not any(
        method != "GET" and "variables" in path for method, path in shop.requests
    )
    space.commit(
        {
            "space/old.py": b"from an older version",
            "notes.md": b"the owner's",
            "space/page/ui.py": b"older",
        }
    )
    space.variables["GREETING"] = {"key": "GREETING", "value": "hello"}
    shop.repo("ana/shop-adapter").commit({"metrics.json": b"{}"})
    assert deploy(*SHOP) == 0
    assert (
        len(space.commits) == 4
        and "space/old.py" not in space.files
        and space.files["notes.md"] == b"the owner's"
    )
    assert space.files["space/page/ui.py"] == (ROOT / "space/page/ui.py").read_bytes()
    changed = {name for name in space.variables if space.variables[name] != pins.get(name)}
    assert changed == {"ADAPTER_REVISION", "GREETING"}
    assert space.variables["ADAPTER_REVISION"]["value"] == shop.repo("ana/shop-adapter").head


def test_without_an_adapter_it_serves_the_sample_and_takes_older_variables_away(shop):
    assert deploy(*SHOP) == 0
    assert deploy() == 0
    space = shop.repo("ana/shop", "spaces")
    assert not space.variables
    assert {
        "space/sample/adapter/adapter_model.safetensors",
        "space/sample/catalogue/index/meta.json",
        "space/sample/catalogue/report.json",
        "space/sample/metrics.json",
        "space/sample/samples.jsonl",
        "space/sample/history.jsonl",
        "space/sample/adapter/README.md",
    } <= set(space.files)
    assert not any(path.endswith((".parquet", "trn.json")) for path in space.files)


def test_a_published_run_is_served_at_the_commits_it_was_sent_to(shop, tmp_path):
    heads = {
        "adapter": shop.repo("ana/shop-adapter"),
        "catalogue": shop.repo("ana/shop-catalogue", "datasets"),
    }
    (tmp_path / "published.json").write_text(
        json.dumps({name: {"repo": repo.name, "commit": repo.head} for name, repo in heads.items()})
    )
    sent = {name: repo.head for name, repo in heads.items()}
    for repo in heads.values():
        repo.commit({"later": b""})
    assert deploy("--run", str(tmp_path)) == 0
    variables = shop.repo("ana/shop", "spaces").variables
    assert set(variables) == set(VARIABLES)
    assert {name: variables[f"{name.upper()}_REVISION"]["value"] for name in sent} == sent


def test_another_peoples_adapter_names_its_base_in_its_config(shop):
    shop.repo("ana/shop-adapter").commit(
        {
            "run.json": None,
            "adapter_config.json": json.dumps(
                {"peft_type": "LORA", "base_model_name_or_path": "ana/tiny", "revision": None}
            ).encode(),
        }
    )
    assert deploy("--adapter", "ana/shop-adapter", "--base", "ana/tiny") == 0
    variables = shop.repo("ana/shop", "spaces").variables
    assert (
        variables["BASE_REVISION"]["value"] == shop.repo("ana/tiny").head
        and "CATALOGUE" not in variables
    )


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"run.json": b"[]"}, "run.json is [], not a JSON object"),
        ({"run.json": b'{"base": "ana/tiny"}'}, "base in run.json is 'ana/tiny', not an object"),
        ({"run.json": b"[" * 10_000}, "run.json is nested too deeply"),
        (
            {"run.json": None, "adapter_config.json": b'{"peft_type": "IA3"}'},
            "its peft_type is 'IA3', only 'LORA' is served",
        ),
        (
            {"run.json": None, "adapter_config.json": b'{"peft_type": "LORA"}'},
            "was made for a base that is not on the Hub",
        ),
    ],
)
def test_an_adapter_that_no_page_can_serve_is_refused_in_one_line(shop, capsys, files, words):
    shop.repo("ana/shop-adapter").commit(files)
    assert deploy("--adapter", "ana/shop-adapter") != 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line and ("spaces", "ana/shop") not in shop.repos


def test_a_dry_run_changes_nothing(shop, capsys):
    assert deploy(*SHOP, "--dry-run") == 0
    assert ("spaces", "ana/shop") not in shop.repos
    said = capsys.readouterr().out
    assert (
        "space/page/ui.py" in said
        and f"ADAPTER_REVISION={shop.repo('ana/shop-adapter').head}" in said
    )
    assert not any(method == "POST" for method, _ in shop.requests)


def front_matter(space) -> dict:
    return yaml.safe_load(space.files["README.md"].decode().split("---\n")[1])


def test_the_front_matter_preloads_what_is_public_at_its_commit(shop):
    tiny = shop.repo("ana/tiny")
    made_for = tiny.commit({"consolidated.safetensors": b"the same in another form"})
    tiny.commit({"notes.md": b"later"})
    record = {"base": {"name": "ana/tiny", "revision": made_for}}
    shop.repo("ana/shop-adapter").commit({"run.json": json.dumps(record).encode()})
    assert deploy(*SHOP) == 0
    space = shop.repo("ana/shop", "spaces")
    front = front_matter(space)
    assert front["preload_from_hub"][0] == (
        f"ana/shop-adapter adapter_model.safetensors {shop.repo('ana/shop-adapter').head}"
    )
    base, files, commit = front["preload_from_hub"][1].split(" ")
    assert (base, commit) == ("ana/tiny", made_for)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files.split(","))
    assert "consolidated.safetensors" not in files
    assert front["startup_duration_timeout"] == "1h" and "shelftalk" in front["tags"]
    assert front["suggested_hardware"] == "a10g-small"
    assert front["thumbnail"].endswith("/spaces/ana/shop/resolve/main/thumbnail.png")
    picture = space.files["thumbnail.png"]
    assert picture.startswith(b"\x89PNG") and len(picture) < 200_000


def test_nothing_closed_is_preloaded_and_the_sample_needs_no_gpu(shop):
    shop.repo("ana/tiny").gated = True
    shop.repo("ana/shop-adapter").private = True
    assert deploy(*SHOP) == 0
    space = shop.repo("ana/shop", "spaces")
    assert "preload_from_hub" not in front_matter(space)
    assert deploy() == 0
    assert front_matter(space)["suggested_hardware"] == "cpu-basic"


def test_a_bucket_becomes_the_disk_beside_other_volumes(shop, capsys):
    assert deploy(*SHOP, "--bucket", "ana/votes") == 0
    space = shop.repo("ana/shop", "spaces")
    disk = {"type": "bucket", "source": "ana/votes", "mountPath": "/data"}
    assert space.volumes == [disk] and shop.buckets["ana/votes"] == {"visibility": "private"}
    assert space.variables["VOTES_DIR"]["value"] == "/data/votes"
    models = {"type": "model", "source": "ana/tiny", "mountPath": "/models"}
    space.volumes = [models, disk | {"source": "ana/older"}]
    space.variables["VOTES_DIR"]["value"] = "/data/mine"
    for _ in range(2):
        assert deploy(*SHOP, "--bucket", "ana/votes") == 0
        assert space.volumes == [models, disk]
    assert space.variables["VOTES_DIR"]["value"] == "/data/mine"
    puts = [path for method, path in shop.requests if method == "PUT" and "volumes" in path]
    assert len(puts) == 2
    assert deploy(*SHOP, "--bucket", "votes") == 2
    assert "--bucket is 'votes', which is no repository" in capsys.readouterr().err


def test_private_and_hardware(shop):
    assert deploy(*SHOP, "--private", "--hardware", "zero-a10g") == 0
    space = shop.repo("ana/shop", "spaces")
    assert space.private and space.hardware == "zero-a10g"
    assert front_matter(space)["suggested_hardware"] == "zero-a10g"
    assert "thumbnail" not in front_matter(space)
    assert deploy(*SHOP, "--hardware", "t4-small") == 0 and space.hardware == "t4-small"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--catalogue", "a/b"), 2, "--catalogue needs --adapter"),
        (("--adapter", "shop"), 2, "--adapter is 'shop', which is no repository"),
        (
            ("--run", "nowhere"),
            2,
            "nowhere is not published: run `python -m train publish --run nowhere",
        ),
        (("--adapter", "ana/none"), 1, "ana/none on the Hub: HTTP 404"),
        (
            ("--adapter", "ana/shop-adapter", "--base", "ana/other"),
            2,
            "--base is ana/other, but adapter ana/shop-adapter was made for ana/tiny",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(shop, capsys, options, code, words):
    assert deploy(*options) == code
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and ("spaces", "ana/shop") not in shop.repos


def test_an_adapter_for_a_base_in_a_folder_is_refused(shop, capsys):
    shop.repo("ana/shop-adapter").commit(
        {"run.json": json.dumps({"base": {"name": "mine", "revision": "sha256:0"}}).encode()}
    )
    assert deploy(*SHOP) == 2
    assert "made for a base that is not on the Hub" in capsys.readouterr().err


def test_the_default_base_is_fetched_by_the_space_itself(shop, capsys):
    base = {"name": DEFAULT_BASE, "revision": "sha256:0"}
    shop.repo("ana/shop-adapter").commit({"run.json": json.dumps({"base": base}).encode()})
    assert deploy(*SHOP) == 0
    space = shop.repo("ana/shop", "spaces")
    assert space.variables["BASE_MODEL"]["value"] == DEFAULT_BASE
    assert "BASE_REVISION" not in space.variables
    assert DEFAULT_BASE not in space.files["README.md"].decode()


def test_somebody_elses_space_is_refused_without_a_token_in_the_words(shop, capsys):
    assert main(["deploy", "--to", "bob/shop", *SHOP]) == 1
    said = capsys.readouterr()
    assert "bob/shop on the Hub: HTTP 403" in said.err and shop.token not in said.out + said.err


def test_a_stray_file_beside_the_modules_stays_here():
    stray = ROOT / "space" / "settings.py~"
    stray.write_text("stray")
    try:
        assert "space/settings.py~" not in space_files({})
    finally:
        stray.unlink()
