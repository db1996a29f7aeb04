"""Bring a published adapter up to a new catalogue: compare, train, score, gate, publish, undo."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from huggingface_hub import hf_hub_download, snapshot_download

from space.model import PromptTemplate
from space.settings import DEFAULT_BASE
from train.config import (
    BEFORE_OPTIONS,
    Checked,
    CompareConfig,
    ConfigError,
    EvaluateConfig,
    FitConfig,
    PrepareConfig,
    PublishConfig,
    PushConfig,
    RefreshConfig,
    SummariesConfig,
    TrackConfig,
)
from train.evaluate import WorseError, compare_runs, evaluation_problems
from train.pipeline import evaluate_run, fit_run
from train.prepare import compare_catalogues, keep_learned, prepare_run
from train.publish import CHECKPOINT, RepoInfo, ask_hub, hub_api, publish, repo_info, send
from train.run import ADAPTER_RECORD, Run, read_json, to_json, write_atomic
from train.teacher import teach_run

STATE = "refresh.json"
LEARNED = "catalogue.learned"  # the folder of the catalogue that the published adapter learned
# What lies beside the adapter in its repository, and what must be there.
BESIDE = ("README.md", "metrics.json", "samples.jsonl", "history.jsonl", ".gitattributes")
NEEDED = ("adapter_model.safetensors", "adapter_config.json", "prompt.json", "tokenizer.json")
NEEDED_BESIDE = ("metrics.json", "samples.jsonl", "history.jsonl", "README.md")


class RefreshError(Exception):
    """A published adapter cannot be refreshed; one line that says why and what to do."""


class Pinned(TypedDict):
    """A repository at a commit."""

    repo: str
    commit: str


class State(TypedDict):
    """refresh.json: what a refresh began from, and its outcome once it has ended."""

    adapter: Pinned
    catalogue: Pinned
    private: list[str]  # the repositories that are private
    source: str
    outcome: NotRequired[str]  # published, unchanged or worse


def refresh(source: str, configs: Mapping[type[Checked], Any]) -> None:
    """Train a published adapter on a new catalogue, publish it unless worse.

    Or undo the newest refresh, where config.back says so.
    The same command goes on after a kill. Nothing is published on an error. Raises RefreshError
    where the published adapter cannot be refreshed, or where the new one is worse.
    """
    config: RefreshConfig = configs[RefreshConfig]
    if config.back:
        go_back(config)
        return
    folder = Path(config.folder).resolve()
    name = config.from_.split("/")[-1]
    after, before = Run(folder / name), Run(folder / f"{name}-before")
    state = _pin(folder, source, config, after)
    learned = _fetch_published(folder, before, state)
    prepare_config, summaries = _as_it_was_prepared(learned, before, config, configs)
    prepare_run(source, after, prepare_config, summaries)
    changes = compare_catalogues(learned, after.catalogue)
    print(f"refresh: {changes}", flush=True)
    if not changes:
        write_atomic(folder / STATE, to_json(state | {"outcome": "unchanged"}))
        print(f"refresh: nothing is new for {config.from_}, nothing was trained", flush=True)
        return
    moved = keep_learned(learned, after)
    if moved:
        print(f"refresh: {moved:,} held-out records were learned before: not scored", flush=True)
    if summaries.teacher:
        teach_run(after, summaries)
    fit_config = _fit_config(before, config)
    _score_before(before, after, fit_config, configs[EvaluateConfig])
    push = PushConfig()
    if config.push_every:
        push = PushConfig(f"{config.from_}-checkpoints", True, config.push_every)
    fit_run(after, fit_config, push, configs[TrackConfig])
    _note_origin(after, state)
    if not _is_scored(after, configs[EvaluateConfig]):
        print(evaluate_run(after, configs[EvaluateConfig], configs[TrackConfig]), flush=True)
    gate = CompareConfig(gate=True, out=str(folder / "compare.html"))
    try:
        print(compare_runs([before.folder, after.folder], gate), flush=True)
    except WorseError as error:
        write_atomic(folder / STATE, to_json(state | {"outcome": "worse"}))
        raise RefreshError(f"{error} {config.from_} stays as it is published") from error
    _publish(after, state, config)
    if not config.dry_run:
        write_atomic(folder / STATE, to_json(state | {"outcome": "published"}))


def go_back(config: RefreshConfig) -> None:
    """Undo the newest refresh with new commits.

    The files of the commits before it come back. The catalogue goes first: its adapter's run.json
    says what there is to undo, so the same command goes on after a kill. Raises RefreshError where
    the adapter was not refreshed.
    """
    head = _head(config.from_, "model")
    names = {file.rfilename for file in head.siblings or ()}
    origin = None
    if ADAPTER_RECORD in names:
        record = _read_published(config.from_, ADAPTER_RECORD, str(head.sha))
        origin = record.get("refreshed_from") if isinstance(record, dict) else None
    if origin is None or not _is_origin(origin, config.from_):
        raise RefreshError(f"{config.from_} is as it was first published: nothing to undo")
    for part, kind, owned in (
        ("catalogue", "dataset", ["records", "index"]),
        ("adapter", "model", [CHECKPOINT]),
    ):
        repo, commit = origin[part]["repo"], origin[part]["commit"]
        if config.dry_run:
            print(f"refresh: would put {repo} back to {commit[:7]}", flush=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            files = _download(repo, kind, commit, Path(folder))
            sent = send(files, repo, kind, message=f"Back to {commit[:7]}", owned=owned)
        print(f"refresh: {repo} is back to {commit[:7]}, as {sent.commit[:7]}", flush=True)


# --- what it begins from ---


def _pin(folder: Path, source: str, config: RefreshConfig, after: Run) -> State:
    """Read what an unfinished refresh began from, or begin anew."""
    kept = _read_state(folder)
    adapter = _head(config.from_, "model")
    same = kept and (kept["adapter"]["repo"], kept["source"]) == (config.from_, source)
    if kept and same and "outcome" not in kept:
        if adapter.sha == kept["adapter"]["commit"] or _is_sent(adapter, after):
            return kept
        print(f"refresh: begins anew, {config.from_} was changed meanwhile", flush=True)
    elif kept is None and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} has other files than a refresh's: name another --run")
    catalogue = _head(config.catalogue_repo, "dataset")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    state: State = {
        "adapter": {"repo": config.from_, "commit": str(adapter.sha)},
        "catalogue": {"repo": config.catalogue_repo, "commit": str(catalogue.sha)},
        "source": source,
        "private": [str(info.id) for info in (adapter, catalogue) if info.private],
    }
    write_atomic(folder / STATE, to_json(state))
    return state


def _read_state(folder: Path) -> State | None:
    try:
        return cast(State, read_json(folder / STATE))
    except (OSError, ValueError):
        return None


def _head(repo: str, kind: str) -> RepoInfo:
    api = hub_api()
    return ask_hub(repo, lambda: repo_info(api, repo, kind))


def _is_sent(head: RepoInfo, after: Run) -> bool:
    """Tell whether a repository has this refresh's own adapter already."""
    names = {file.rfilename for file in head.siblings or ()}
    if not after.has_adapter() or ADAPTER_RECORD not in names:
        return False
    return _read_published(head.id, ADAPTER_RECORD, str(head.sha)) == after.adapter_record()


def _read_published(repo: str, name: str, commit: str) -> Any:
    path = ask_hub(repo, lambda: hf_hub_download(repo, name, revision=commit))
    try:
        return read_json(Path(path))
    except (ValueError, RecursionError) as error:
        raise RefreshError(f"{name} of {repo} cannot be read ({error})") from error


def _download(repo: str, kind: str, commit: str, folder: Path) -> dict[str, Path]:
    """Download a repository at a commit: {path there: file here}."""

    def download() -> str:
        return snapshot_download(
            repo,
            repo_type=kind,
            revision=commit,
            local_dir=folder,
            ignore_patterns=[f"{CHECKPOINT}/*", ".gitattributes"],
        )

    ask_hub(repo, download)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _fetch_published(folder: Path, before: Run, state: State) -> Path:
    """Fetch the published adapter as a run, and its catalogue.

    Raises RefreshError where they do not belong together or are not complete.
    """
    learned, repo = folder / LEARNED, state["adapter"]["repo"]
    if not (learned / "report.json").is_file():
        arriving = folder / "catalogue.arriving"
        shutil.rmtree(arriving, ignore_errors=True)
        _download(state["catalogue"]["repo"], "dataset", state["catalogue"]["commit"], arriving)
        shutil.rmtree(learned, ignore_errors=True)
        arriving.rename(learned)
    if not before.has_adapter():
        arriving = folder / "adapter.arriving"
        shutil.rmtree(arriving, ignore_errors=True)
        files = _download(repo, "model", state["adapter"]["commit"], arriving)
        needed = (*NEEDED, ADAPTER_RECORD, *NEEDED_BESIDE)
        missing = [name for name in needed if name not in files]
        if missing:
            raise RefreshError(
                f"{repo} is not complete, without {', '.join(missing)}: publish it again; "
                "nothing was changed"
            )
        shutil.rmtree(before.folder, ignore_errors=True)
        before.adapter.mkdir(parents=True)
        os.replace(files["history.jsonl"], before.history)
        for name, path in files.items():
            if "/" not in name and name not in (*BESIDE, ADAPTER_RECORD):
                os.replace(path, before.adapter / name)
        os.replace(files[ADAPTER_RECORD], before.adapter / ADAPTER_RECORD)  # last: complete
        shutil.rmtree(arriving)
    _check_published(learned, before, state)
    return learned


def _check_published(learned: Path, before: Run, state: State) -> None:
    repo, catalogue = state["adapter"]["repo"], state["catalogue"]["repo"]
    record = _published_record(before, repo)
    try:
        report = read_json(learned / "report.json")
        known = {name: report[name] for name in ("source", "options", "read", "kept")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefreshError(f"{catalogue} has no report.json of a catalogue ({error})") from error
    data = record.get("data_learned", record["data"])
    unlike = [name for name, value in known.items() if data.get(name) != value]
    if unlike:
        raise RefreshError(
            f"{repo} learned another catalogue than {catalogue} has ({', '.join(unlike)} differ), "
            "as when a publication stopped half-way: publish that run again, or name --catalogue"
        )
    template = PromptTemplate.load(before.adapter / "prompt.json")
    if to_json(asdict(template)) != to_json(asdict(PromptTemplate())):
        raise RefreshError(
            f"{repo} was trained with another prompt template than this version's: train it anew"
        )


def _published_record(before: Run, repo: str) -> dict[str, Any]:
    """Read the published adapter's run.json, or raise RefreshError."""
    record: Any = before.adapter_record()
    parts = ("base", "config", "data") if isinstance(record, dict) else ()
    if not parts or not all(isinstance(record.get(part), dict) for part in parts):
        raise RefreshError(f"run.json of {repo} is not what fit writes: train it anew")
    return record


def _as_it_was_prepared(
    learned: Path, before: Run, config: RefreshConfig, configs: Mapping[type[Checked], Any]
) -> tuple[PrepareConfig, SummariesConfig]:
    """Make the options of `prepare` from the learned catalogue's."""
    options = read_json(learned / "report.json")["options"]
    try:
        title, content, uid = options["columns"]
        prepared = PrepareConfig(options["limit"], options["unseen_share"], title, content, uid)
    except (KeyError, TypeError, ValueError) as error:
        raise RefreshError(f"report.json of {config.catalogue_repo}: {error}") from error
    summaries: SummariesConfig = configs[SummariesConfig]
    origin = _published_record(before, config.from_).get("summaries") or {}
    if "splits" in origin and not (summaries.summaries or summaries.teacher):
        raise ConfigError(
            f"{config.from_} learned summaries from {origin.get('from')}: name them with "
            "--summaries or --teacher"
        )
    return prepared, summaries


def _fit_config(before: Run, config: RefreshConfig) -> FitConfig:
    """Make the published adapter's options, with its weights as the first."""
    record = _published_record(before, config.from_)
    known = {item.name for item in fields(FitConfig)}
    options = {name: value for name, value in record["config"].items() if name in known}
    base, revision = record["base"].get("name"), record["base"].get("revision")
    if config.base:
        base, revision = config.base, None
    elif base == DEFAULT_BASE:
        revision = None
    elif str(revision).startswith("sha256:"):
        raise ConfigError(
            f"{config.from_} was made for {base}, which is not on the Hub: name its folder or "
            "file with --base"
        )
    options |= {"base": base, "base_revision": revision, "start": str(before.adapter)}
    options |= {"init": "default"}
    for name in ("epochs", "max_steps", "learning_rate"):
        value = getattr(config, name)
        if value is not None:
            options[name] = value
    made: dict[str, Any] = {**BEFORE_OPTIONS, **options}
    try:
        return FitConfig(**made)
    except (TypeError, ValueError) as error:
        raise RefreshError(f"run.json of {config.from_}: {error}") from error


# --- scoring and publishing ---


def _score_before(before: Run, after: Run, config: FitConfig, evaluate: EvaluateConfig) -> None:
    """Score the published adapter on the new catalogue."""
    for ours, theirs in ((before.catalogue, after.catalogue), (before.summaries, after.summaries)):
        if theirs.is_dir():
            shutil.rmtree(ours, ignore_errors=True)
            shutil.copytree(theirs, ours, copy_function=os.link)
    record = cast(dict[str, Any], before.adapter_record())
    data = before.data_digest()
    if record["data"] != data:
        # compare wants to know on what a run is scored; what it learned stays beside it.
        record = {"data_learned": record["data"]} | record | {"data": data}
        write_atomic(before.adapter / ADAPTER_RECORD, to_json(record))
    before.keep_fit_config(replace(config, start=""))
    if not _is_scored(before, evaluate):
        print("refresh: scores the published adapter on the new catalogue", flush=True)
        evaluate_run(before, evaluate)


def _is_scored(run: Run, config: EvaluateConfig) -> bool:
    """Tell whether a run was scored with these options."""
    if not run.is_evaluated() or any(evaluation_problems(run)):
        return False
    return read_json(run.evaluation)["options"] == {"items": config.items, "shots": config.shots}


def _note_origin(after: Run, state: State) -> None:
    """Write into run.json what the adapter was refreshed from, for --back."""
    record = after.adapter_record()
    origin = {"adapter": state["adapter"], "catalogue": state["catalogue"]}
    if record.get("refreshed_from") != origin:
        record["refreshed_from"] = origin
        write_atomic(after.adapter / ADAPTER_RECORD, to_json(record))


def _is_origin(origin: Any, repo: str) -> bool:
    """Tell whether a value is what _note_origin() writes of this repository."""
    if not isinstance(origin, dict):
        return False
    for part in ("adapter", "catalogue"):
        pinned = origin.get(part)
        if not isinstance(pinned, dict):
            return False
        if not all(isinstance(pinned.get(key), str) for key in ("repo", "commit")):
            return False
    return origin["adapter"]["repo"] == repo


def _publish(after: Run, state: State, config: RefreshConfig) -> None:
    head = _head(config.from_, "model")
    if head.sha != state["adapter"]["commit"] and not _is_sent(head, after):
        raise RefreshError(
            f"{config.from_} was changed while this ran, at {str(head.sha)[:7]}, and nothing was "
            "published: the same command begins anew from there"
        )
    catalogue = state["catalogue"]["repo"]
    public = catalogue not in state["private"]
    publish(
        after,
        PublishConfig(
            to=config.from_,
            private=config.from_ in state["private"] and not public,
            catalogue=catalogue,
            public_catalogue=public,
            dry_run=config.dry_run,
        ),
    )
