"""The Space -> the Hub: exactly the files that it needs as one commit, and its variables, pinned to commits."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

from space.evidence import FILES
from train.config import ConfigError, DeployConfig
from train.publish.hub import LIBRARY, HubError, IsPublic, send, words
from train.publish.upload import Parcel, listing
from train.run import Run

ROOT = Path(__file__).resolve().parents[2]
OURS = (
    "space"  # the folder of a Space's repository in which a file that is not sent has no business
)
SUFFIXES = (".py", ".css", ".js", ".json")
VARIABLES = (
    "BASE_MODEL",
    "BASE_REVISION",
    "ADAPTER",
    "ADAPTER_REVISION",
    "CATALOGUE",
    "CATALOGUE_REVISION",
)
PICTURE = re.compile(r"!\[[^]]*\]\([^)]*\)\n+")


@dataclass
class Served:
    """What a Space is to answer with: its variables, none for the embedded sample, and what it may not read by itself."""

    variables: dict[str, str] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)

    def pin(self, name: str, what: str, info) -> None:
        """Adds a repository's id and commit under NAME and NAME_REVISION."""
        self.variables |= {name: info.id, f"{name.removesuffix('_MODEL')}_REVISION": info.sha}
        if info.private or info.gated:
            self.closed.append(f"the {what} {info.id} is {'private' if info.private else 'gated'}")


def deploy(config: DeployConfig) -> None:
    """Creates or updates a Space; a second call with nothing new makes no commit. With `dry_run` only says what would go.

    Raises ConfigError for what a Space cannot serve, and HubError where the Hub does not take it.
    """
    api = HfApi(library_name=LIBRARY)
    served = pinned(api, config)
    parcel = Parcel(
        "space",
        config.to,
        "space",
        config.private,
        space_files(served.variables),
        "leave --private out",
    )
    print(listing(parcel) if config.dry_run else f"deploy: {parcel}", flush=True)
    for name, value in served.variables.items():
        print(f"  {name}={value}", flush=True)
    if config.dry_run:
        return
    with told(config.to):
        prepare_space(api, config, served)
    sent = send(
        parcel.files,
        config.to,
        "space",
        message="Deploy the Space",
        private=config.private,
        owned=[OURS],
    )
    print(
        f"deploy: {config.to} {'is at' if sent.new else 'has all of it already, at'} {sent.commit[:7]}: "
        f"https://huggingface.co/spaces/{config.to}",
        flush=True,
    )
    if served.closed:
        print(
            f"deploy: {', '.join(served.closed)}: in https://huggingface.co/spaces/{config.to}/settings, save a token that "
            "may read it as a secret named HF_TOKEN, or the page will say that it is missing",
            flush=True,
        )


@contextlib.contextmanager
def told(repo: str) -> Iterator[None]:
    """Turns what the Hub's library raises about a repository into HubError."""
    try:
        yield
    except (httpx2.HTTPError, RuntimeError, ValueError, OSError) as error:
        raise HubError(f"{repo} on the Hub: {words(error, repo)}") from error


# --- what it serves --------------------------------------------------------------------------------------------------


def pinned(api: HfApi, config: DeployConfig) -> Served:
    """Returns what the Space serves, each at the commit that it has now; a published run's, at those that it was sent to."""
    served, repos = (
        Served(),
        {"adapter": (config.adapter, None), "catalogue": (config.catalogue, None)},
    )
    if config.run:
        repos |= published(Run(Path(config.run)))
    adapter, commit = repos["adapter"]
    if not adapter:
        return served
    with told(adapter):
        info = api.model_info(adapter, revision=commit)
        served.pin("ADAPTER", "adapter", info)
        base, revision = base_of(api, adapter, info.sha)
    if base is None:
        raise ConfigError(
            f"adapter {adapter} was made for a base in a folder, which a Space cannot pull: train on a base "
            "that is on the Hub"
        )
    if config.base and config.base != base:
        raise ConfigError(
            f"--base is {config.base}, but adapter {adapter} was made for {base}: leave --base out"
        )
    with told(base):
        served.pin("BASE_MODEL", "base", api.model_info(base, revision=revision))
    catalogue, commit = repos["catalogue"]
    if catalogue:
        with told(catalogue):
            served.pin("CATALOGUE", "catalogue", api.dataset_info(catalogue, revision=commit))
    return served


def published(run: Run) -> dict[str, tuple[str, str]]:
    """Returns {"adapter" or "catalogue": (repository, commit)} of a run, as publish left it."""
    try:
        record = json.loads((run.published).read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(
            f"{run.folder} is not published: run `python -m train publish --run {run.folder} --to user/name` first"
        ) from None
    return {name: (sent["repo"], sent["commit"]) for name, sent in record.items()}


def base_of(api: HfApi, adapter: str, commit: str) -> tuple[str | None, str | None]:
    """Returns (the base's id, its commit) that an adapter was made for: None for a folder, and for a commit not named."""

    def read(name: str) -> dict:
        path = hf_hub_download(adapter, name, revision=commit, endpoint=api.endpoint)
        return json.loads(Path(path).read_text(encoding="utf-8"))

    try:
        base = read("run.json")["base"]
    except EntryNotFoundError:  # not made here
        config = read("adapter_config.json")
        return config["base_model_name_or_path"], config.get("revision")
    return (
        (None, None) if base["revision"].startswith("sha256:") else (base["name"], base["revision"])
    )


# --- what goes there -------------------------------------------------------------------------------------------------


def runtime_files() -> list[Path]:
    """Returns what space/ needs to run, without its sample."""
    return [
        path
        for path in sorted((ROOT / "space").rglob("*"))
        if path.suffix in SUFFIXES and not path.is_relative_to(ROOT / "space" / "sample")
    ]


def space_files(variables: dict[str, str]) -> dict[str, Path | bytes]:
    """Returns the Space's files; the sample only where it is what is served."""
    paths = [ROOT / name for name in ("app.py", "requirements.txt", "LICENSE")]
    paths += runtime_files()
    if not variables:
        sample = ROOT / "space" / "sample"
        paths += [
            path for name in (*FILES, "catalogue/report.json") if (path := sample / name).is_file()
        ]
        paths += [
            path
            for part in ("base", "adapter", "catalogue/index")
            for path in sorted((sample / part).glob("*"))
            if path.name != "README.md" or part == "adapter"
        ]  # the adapter's card: the page quotes its limits
    files: dict[str, Path | bytes] = {path.relative_to(ROOT).as_posix(): path for path in paths}
    return {"README.md": readme(variables).encode(), **files}


def readme(variables: dict[str, str]) -> str:
    """Returns the Space's README: our front matter, with links to what it serves, and what this is."""
    _, front, body = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    lead = PICTURE.sub("", body.partition("\n## ")[0])
    models = [variables[name] for name in ("BASE_MODEL", "ADAPTER") if name in variables]
    datasets = [variables["CATALOGUE"]] if "CATALOGUE" in variables else []
    links = "".join(
        f"{kind}:\n" + "".join(f"- {repo}\n" for repo in repos)
        for kind, repos in (("models", models), ("datasets", datasets))
        if repos
    )
    return f"---\n{front}{links}---\n{lead.rstrip()}\n"


def prepare_space(api: HfApi, config: DeployConfig, served: Served) -> None:
    """Makes the Space if there is none, and gives it its variables.

    The variables come first, so that a new Space starts once and with all it needs.
    """
    try:
        info = api.repo_info(config.to, repo_type="space")
    except RepositoryNotFoundError:
        api.create_repo(
            config.to,
            repo_type="space",
            space_sdk="gradio",
            private=config.private or None,
            space_hardware=config.hardware or None,
        )
        info = api.repo_info(config.to, repo_type="space")
    else:
        if (
            config.hardware
            and api.get_space_runtime(config.to).requested_hardware != config.hardware
        ):
            api.request_space_hardware(config.to, config.hardware)
    if config.private and not info.private:
        raise IsPublic(
            f"{config.to} on the Hub is public: make it private in its settings, or leave --private out"
        )
    before = {name: variable.value for name, variable in api.get_space_variables(config.to).items()}
    for name in VARIABLES:
        if name in served.variables and before.get(name) != served.variables[name]:
            api.add_space_variable(config.to, name, served.variables[name])
        elif name in before and name not in served.variables:
            api.delete_space_variable(config.to, name)
