"""Training on a rented machine: a job of the Hub runs all verbs on a snapshot of this code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import huggingface_hub
from huggingface_hub import get_token

from space.settings import DEFAULT_BASE
from train.config import (
    Checked,
    ConfigError,
    FitConfig,
    PublishConfig,
    RentConfig,
    SummariesConfig,
    TrackConfig,
)
from train.publish.deploy import ROOT, SUFFIXES, runtime_files
from train.publish.hub import ask_hub, hub_api, send
from train.publish.upload import Upload, command_line

IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"  # what `hf jobs uv run` takes
NOT_OF_ALL = ("flavor", "timeout", "code", "dry_run")  # options of rent that `all` lacks

Config = TypeVar("Config", bound=Checked)


def rent_machine(source: str, configs: Mapping[type, Checked]) -> None:
    """Start a job that runs `train all` with these configs and publishes.

    With `dry_run` only list what would be sent and run. Raises ConfigError for what a rented
    machine cannot reach, and HubError where the Hub refuses it, both before anything is rented.
    """
    publish, machine = _config(configs, PublishConfig), _config(configs, RentConfig)
    base = _config(configs, FitConfig).base
    _refuse_local(source, base, _config(configs, SummariesConfig))
    owner, name = publish.to.split("/")
    repo = machine.code or f"{publish.to}-code"
    upload = Upload("code", repo, "model", True, code_files(), "name another with --code")
    command = _training_command(source, f"runs/{name}", configs)
    plan = f"rent: {machine.flavor} for up to {machine.timeout}: {command}"
    if publish.dry_run:
        print(f"{upload.listing()}\n{plan}", flush=True)
        return
    token = get_token()
    if not token:
        raise ConfigError(
            "there is no token to push with: log in with `hf auth login`, or set HF_TOKEN"
        )
    api = hub_api()
    if base != DEFAULT_BASE:
        ask_hub(base, lambda: api.auth_check(base))  # a gated one would fail there, on paid time
    print(f"rent: {upload}", flush=True)
    sent = send(upload.files, repo, message="Code to train with", private=True)
    script = job_script(repo, sent.commit, command, _config(configs, TrackConfig))
    job = ask_hub(
        publish.to,
        lambda: api.run_job(
            image=IMAGE,
            command=["bash", "-c", script],
            flavor=machine.flavor,
            timeout=machine.timeout,
            secrets={"HF_TOKEN": token},
            name=name,
            namespace=owner,
        ),
        tries=1,  # where only the answer was lost, a second try would rent a second machine
    )
    print(
        f"{plan}\nrent: job {job.id} runs at {job.url}; `hf jobs logs {job.id}` shows its output, "
        f"`hf jobs cancel {job.id}` gives it back",
        flush=True,
    )


def _config(configs: Mapping[type, Checked], kind: type[Config]) -> Config:
    config = configs[kind]
    assert isinstance(config, kind)
    return config


def _refuse_local(source: str, base: str, summaries: SummariesConfig) -> None:
    remedies = (
        ("the source", source, "give a URL, gdrive:ID or a Hub dataset's user/name, or upload it"),
        ("--base", base, "give its id on the Hub"),
        ("--summaries", summaries.summaries, "give a URL or a Hub dataset's user/name"),
        ("--teacher", summaries.teacher, "give its id on the Hub"),
    )
    problems = [
        f"{what} {value} is here, where the rented machine cannot reach it: {remedy}"
        for what, value, remedy in remedies
        if os.path.exists(value)
    ]
    if problems:
        raise ConfigError("; ".join(problems))


def code_files() -> dict[str, Path]:
    """List the files that training needs, without the sample."""
    names = ("requirements.txt", "train/requirements.txt", "model_card.md", "LICENSE")
    paths = [ROOT / name for name in names] + runtime_files()
    for path in sorted((ROOT / "train").rglob("*")):
        if path.suffix in (*SUFFIXES, ".html"):
            paths.append(path)
    return {path.relative_to(ROOT).as_posix(): path for path in paths}


def _training_command(source: str, run: str, configs: Mapping[type, Checked]) -> str:
    """Write the `train all` command, with the options that are not defaults."""
    options = {}
    for config in configs.values():
        for item in fields(config):
            value = getattr(config, item.name)
            if item.name not in NOT_OF_ALL and value != item.default:
                options[item.name] = value
    return command_line(["all", source, "--run", run], options)


def job_script(repo: str, commit: str, command: str, track: TrackConfig) -> str:
    """Return the job's shell script: download the snapshot, install it and train."""
    packages = "--with-requirements train/requirements.txt"
    if track.report_to != "none":  # a board's package has the board's name
        packages += f" --with {track.report_to}"
    return (
        f"uvx --from huggingface_hub=={huggingface_hub.__version__} "
        f"hf download {repo} --revision {commit} --local-dir shelftalk && cd shelftalk && "
        f"uv run --no-project --python 3.12 {packages} {command}"
    )
