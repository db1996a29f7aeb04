"""The Hub of the tests: the real client finds in it what it finds in the real one."""

import os
import subprocess
import sys

import httpx2
import pytest
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def folder(tmp_path):
    """Files of every kind: small, large, empty, in folders, beyond ASCII."""
    place = tmp_path / "folder"
    (place / "plots").mkdir(parents=True)
    (place / "model.safetensors").write_bytes(bytes(range(256)) * 4096)
    (place / "README.md").write_text("---\nlicense: mit\n---\n# Lamps\n")
    (place / "empty.txt").write_text("")
    (place / "plots" / "ação.png").write_bytes(b"\x89PNG picture")
    return place


def fetched(hub, place, name="ana/lamps", **more):
    """What the client downloads: {path: bytes}."""
    more = {"token": hub.token} | more
    root = snapshot_download(name, endpoint=hub.endpoint, local_dir=place, **more)
    assert str(root) == str(place)
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


def test_a_folder_comes_back_byte_for_byte_and_every_commit_can_be_had(hub, api, folder, tmp_path):
    api.create_repo("ana/lamps", private=True)
    api.create_repo("ana/lamps", exist_ok=True)
    first = api.upload_folder(repo_id="ana/lamps", folder_path=folder, commit_message="first")
    sent = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert fetched(hub, tmp_path / "one").items() >= sent.items()
    assert [path for method, path in hub.requests if method == "PUT"]
    second = api.upload_file(
        repo_id="ana/lamps", path_or_fileobj=b"other", path_in_repo="empty.txt"
    )
    api.delete_file(repo_id="ana/lamps", path_in_repo="plots/ação.png")
    assert fetched(hub, tmp_path / "two", revision=first.oid)["empty.txt"] == b""
    assert "plots/ação.png" in fetched(hub, tmp_path / "three", revision=second.oid)
    assert "plots/ação.png" not in fetched(hub, tmp_path / "four")
    assert [each.title for each in api.list_repo_commits("ana/lamps")][-2:] == [
        "first",
        "initial commit",
    ]
    assert {each.path for each in api.list_repo_tree("ana/lamps", revision=first.oid)} == {
        ".gitattributes",
        "README.md",
        "empty.txt",
        "model.safetensors",
        "plots",
    }
    assert api.repo_info("ana/lamps").sha == hub.repo("ana/lamps").head


def test_a_commit_on_an_old_parent_is_refused_and_an_unchanged_file_makes_none(hub, api):
    api.create_repo("ana/lamps")
    old = hub.repo("ana/lamps").head
    api.upload_file(repo_id="ana/lamps", path_or_fileobj=b"1", path_in_repo="a", parent_commit=old)
    with pytest.raises(HfHubHTTPError) as error:
        api.upload_file(
            repo_id="ana/lamps", path_or_fileobj=b"2", path_in_repo="a", parent_commit=old
        )
    assert error.value.response.status_code == 412
    api.upload_file(repo_id="ana/lamps", path_or_fileobj=b"1", path_in_repo="a")
    assert len(hub.repo("ana/lamps").commits) == 2


def test_who_may_read_and_write(hub, api, tmp_path):
    hub.create("ana/secret", private=True).commit({"a": b"1"})
    hub.create("ana/gated", gated=True).commit({"a": b"1"})
    bob = list(hub.tokens)[1]
    assert fetched(hub, tmp_path / "own", "ana/secret")["a"] == b"1"
    for token in (bob, False):
        with pytest.raises(RepositoryNotFoundError):
            fetched(hub, tmp_path / f"secret-{token}", "ana/secret", token=token)
        with pytest.raises(GatedRepoError):
            fetched(hub, tmp_path / f"gated-{token}", "ana/gated", token=token)
    hub.repo("ana/gated").readers.add("bob")
    assert fetched(hub, tmp_path / "let-in", "ana/gated", token=bob)["a"] == b"1"
    with pytest.raises(HfHubHTTPError, match="403"):
        api.upload_file(repo_id=hub.create("bob/his").name, path_or_fileobj=b"1", path_in_repo="a")
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_repo("bob/other")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami(token="hf_wrong")
    assert api.whoami()["name"] == "ana"


def test_what_is_not_there(hub, api):
    hub.create("ana/lamps").commit({"a": b"1"})
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("ana/typo")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info("ana/lamps", revision="0" * 40)
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("ana/lamps", "nothing")


def test_a_space_has_variables_and_secrets_that_are_never_shown(hub, api):
    api.create_repo(
        "ana/shop",
        repo_type="space",
        space_sdk="gradio",
        space_variables=[{"key": "A", "value": "1"}],
    )
    api.add_space_variable("ana/shop", "B", "2")
    api.add_space_secret("ana/shop", "HF_TOKEN", "hidden")
    assert {key: each.value for key, each in api.get_space_variables("ana/shop").items()} == {
        "A": "1",
        "B": "2",
    }
    api.delete_space_variable("ana/shop", "A")
    assert set(api.get_space_variables("ana/shop")) == {"B"}
    assert set(api.get_space_secrets("ana/shop")) == {"HF_TOKEN"}
    assert hub.repo("ana/shop", "spaces").secrets == {"HF_TOKEN": "hidden"}
    assert api.space_info("ana/shop").sdk == "gradio"
    api.upload_file(
        repo_id="ana/shop", repo_type="space", path_or_fileobj=b"x", path_in_repo="app.py"
    )
    assert hub.repo("ana/shop", "spaces").files["app.py"] == b"x"
    api.request_space_hardware("ana/shop", "zero-a10g")
    assert api.get_space_runtime("ana/shop").hardware == "zero-a10g"


def test_it_fails_on_command(hub, api):
    send = {"repo_id": "ana/lamps", "path_or_fileobj": b"1", "path_in_repo": "a"}
    api.create_repo("ana/lamps")
    hub.fail("POST", "/commit/", 413)
    with pytest.raises(HfHubHTTPError, match="413"):
        api.upload_file(**send)
    for how in ("cut", "deaf"):
        hub.fail("POST", "/commit/", how)
        with pytest.raises(httpx2.RemoteProtocolError):
            api.upload_file(**send)
    assert [each.title for each in hub.repo("ana/lamps").commits][1:] == [
        "Upload a with huggingface_hub"
    ]  # the deaf one's
    hub.fail("GET", "/api/models/ana/lamps$", "hang")
    with pytest.raises(httpx2.ReadTimeout):
        api.repo_info("ana/lamps", timeout=0.2)
    hub.fail("POST", "/commit/", lambda: hub.repo("ana/lamps").commit({"b": b"2"}, "another's"))
    api.upload_file(**send | {"path_in_repo": "c"})
    assert set(hub.repo("ana/lamps").files) == {".gitattributes", "a", "b", "c"}


def test_a_download_that_is_cut_goes_on(hub, api, tmp_path):
    content = os.urandom(100_000)
    hub.create("ana/lamps").commit({"model.safetensors": content})
    hub.fail("GET", "/resolve/", "cut")
    assert fetched(hub, tmp_path / "one")["model.safetensors"] == content


@pytest.mark.slow
def test_transformers_load_from_it(hub, tiny_base, tmp_path):
    HfApi(endpoint=hub.endpoint, token=hub.token).create_repo("ana/tiny")
    HfApi(endpoint=hub.endpoint, token=hub.token).upload_folder(
        repo_id="ana/tiny", folder_path=tiny_base
    )
    program = (
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"revision = {hub.repo('ana/tiny').head!r}\n"
        "model = AutoModelForCausalLM.from_pretrained('ana/tiny', revision=revision)\n"
        "ids = AutoTokenizer.from_pretrained('ana/tiny')('a lamp').input_ids\n"
        "print(model.config.hidden_size, len(ids) > 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **hub.environ(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["128", "True"], done.stderr
