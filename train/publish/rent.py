"""All verbs on a rented machine: what is here goes to a private repository, and a job of the Hub's runs that snapshot."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi, get_token

from train.config import Checked, ConfigError, FitConfig, PublishConfig, RentConfig, SummariesConfig
from train.publish.deploy import ROOT, SUFFIXES, runtime_files, told
from train.publish.hub import LIBRARY, send
from train.publish.upload import Parcel, listing

IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"  # what `hf jobs uv run` takes
HERE = ("flavor", "timeout", "code", "dry_run")  # options of rent that are not of `all`


def rent(source: str, configs: Mapping[type, Checked]) -> None:
    """Starts a job that runs `train all` with these configs and pushes; with `dry_run` only says what would go and run.

    Raises ConfigError for what a rented machine cannot reach, and HubError where the Hub does not take it: both before
    anything is rented.
    """
    to, base, config = configs[PublishConfig].to, configs[FitConfig].base, configs[RentConfig]
    learned = configs[SummariesConfig]
    problems = [
        f"{what} {value} is here, where the rented machine cannot reach it: {remedy}"
        for what, value, remedy in (
            (
                "the source",
                source,
                "give a URL, gdrive:ID or a Hub dataset's user/name, or upload it first",
            ),
            ("--base", base, "give its id on the Hub"),
            ("--summaries", learned.summaries, "give a URL or a Hub dataset's user/name"),
            ("--teacher", learned.teacher, "give its id on the Hub"),
        )
        if os.path.exists(value)
    ]
    if problems:
        raise ConfigError("; ".join(problems))
    parcel = Parcel(
        "code", config.code or f"{to}-code", "model", True, code_files(), "name another with --code"
    )
    verb = command(source, f"runs/{to.split('/')[1]}", configs)
    if configs[PublishConfig].dry_run:
        return print(
            f"{listing(parcel)}\nrent: {config.flavor} for up to {config.timeout}: {verb}",
            flush=True,
        )
    token = get_token()
    if not token:
        raise ConfigError(
            "there is no token to push with: log in with `hf auth login`, or set HF_TOKEN"
        )
    api = HfApi(library_name=LIBRARY)
    with told(base):
        api.auth_check(base)  # a gated one would fail there, on paid time
    print(f"rent: {parcel}", flush=True)
    sent = send(parcel.files, parcel.repo, parcel.kind, message="Code to train with", private=True)
    owner, name = to.split("/")
    with told(to):
        job = api.run_job(
            image=IMAGE,
            command=["bash", "-c", script(sent.repo, sent.commit, verb)],
            flavor=config.flavor,
            timeout=config.timeout,
            secrets={"HF_TOKEN": token},
            name=name,
            namespace=owner,
        )
    print(
        f"rent: {config.flavor} for up to {config.timeout}: {verb}\nrent: job {job.id} runs at {job.url}; "
        f"`hf jobs logs {job.id}` shows what it says, `hf jobs cancel {job.id}` gives it back",
        flush=True,
    )


def code_files() -> dict[str, Path]:
    """Returns what training runs: train/, space/ without its sample, the requirements and the card to fill."""
    paths = [
        ROOT / name
        for name in ("requirements.txt", "train/requirements.txt", "model_card.md", "LICENSE")
    ]
    paths += runtime_files()
    paths += [
        path
        for path in sorted((ROOT / "train").rglob("*"))
        if path.suffix in (*SUFFIXES, ".html", ".md")
    ]
    return {path.relative_to(ROOT).as_posix(): path for path in paths}


def command(source: str, run: str, configs: Mapping[type, Checked]) -> str:
    """Returns the `train all` of these configs, with the options that are not as they come."""
    given = {
        item.name: getattr(config, item.name)
        for config in configs.values()
        for item in fields(config)
        if item.name not in HERE and getattr(config, item.name) != item.default
    }
    options = [
        part
        for name, value in given.items()
        for part in (f"--{name.replace('_', '-')}", *([] if value is True else [str(value)]))
    ]
    return shlex.join(["python", "-m", "train", "all", source, "--run", run, *options])


def script(repo: str, commit: str, verb: str) -> str:
    """Returns what the job runs: the snapshot is downloaded, its requirements installed, the verb done. No token in it."""
    return (
        f"uvx --from huggingface_hub=={huggingface_hub.__version__} hf download {repo} --revision {commit} "
        "--local-dir shelftalk && cd shelftalk && "
        f"uv run --no-project --python 3.12 --with-requirements train/requirements.txt {verb}"
    )
