"""Deploying: exactly the files of a Space as one commit, and its variables, pinned to commits."""

from __future__ import annotations

import functools
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from huggingface_hub import (
    HfApi,
    SpaceCard,
    SpaceHardware,
    Volume,
    hf_hub_download,
)

from space.evidence import FILES
from space.model import ANY_REVISION, read_adapter_base
from space.settings import DEFAULT_BASE
from train.config import ConfigError, DeployConfig
from train.publish.hub import (
    HubError,
    IsPublic,
    RepoInfo,
    ask_hub,
    ensure_repo,
    hub_api,
    repo_info,
    send,
)
from train.publish.upload import Upload, read_published
from train.run import Run

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "space" / "sample"
OWNED = "space"  # the folder of the repository in which only files that are sent stay
SUFFIXES = (".py", ".css", ".js", ".json", ".md")
VARIABLES = (
    "BASE_MODEL",
    "BASE_REVISION",
    "ADAPTER",
    "ADAPTER_REVISION",
    "CATALOGUE",
    "CATALOGUE_REVISION",
)
PICTURE = re.compile(r"!\[[^]]*\]\([^)]*\)\n+")
TAGS = ["shelftalk", "fine-tuning", "qlora", "lora"]
STARTUP = "1h"  # a 7B base is fetched and loaded in minutes; the Hub gives up after 30 of them
# Where a bucket is mounted, and the votes in it.
DISK, VOTES = "/data", "/data/votes"
# What is read of a base's repository; the same weights in other forms are left there.
BASE_FILES = re.compile(
    r"(model(-\d+-of-\d+)?\.safetensors(\.index\.json)?|(config|generation_config)\.json"
    r"|tokenizer\.(json|model)|tokenizer_config\.json|special_tokens_map\.json"
    r"|chat_template\.jinja)"
)
ADAPTER_FILES = re.compile(r"(adapter_model|snapshots/step-\d+)\.safetensors")
THUMBNAIL = "thumbnail.png"

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")  # a few old repositories have no owner


@dataclass
class Served:
    """What a Space answers with: its variables, none for the embedded sample."""

    variables: dict[str, str] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)  # what it needs a token to read
    preload: list[str] = field(default_factory=list)  # "id file,file commit" of each model

    def pin(self, name: str, what: str, info: RepoInfo) -> None:
        """Add a repository's id and commit as variables NAME and NAME_REVISION."""
        revision = f"{name.removesuffix('_MODEL')}_REVISION"
        self.variables |= {name: info.id, revision: str(info.sha)}
        if info.private or info.gated:
            self.closed.append(f"the {what} {info.id} is {'private' if info.private else 'gated'}")

    def preload_weights(self, info: RepoInfo, pattern: re.Pattern[str]) -> None:
        """Let the Hub fetch a public model's files beforehand."""
        names = [file.rfilename for file in info.siblings or ()]
        wanted = [name for name in names if pattern.fullmatch(name)]
        readable = not info.private and not info.gated
        if readable and any(name.endswith(".safetensors") for name in wanted):
            self.preload.append(f"{info.id} {','.join(wanted)} {info.sha}")


def deploy_space(config: DeployConfig) -> None:
    """Create or update a Space.

    A second call with nothing new makes no commit. With `dry_run` nothing changes on the Hub.
    Raises ConfigError for what a Space cannot serve, and HubError where the Hub refuses it.
    """
    api = hub_api()
    served = pin_sources(api, config)
    files: dict[str, Path | bytes] = {
        **space_files(served.variables),
        "README.md": readme(config, served).encode(),
        THUMBNAIL: thumbnail(config.to, served.variables),
    }
    upload = Upload("space", config.to, "space", config.private, files, "leave --private out")
    print(upload.listing() if config.dry_run else f"deploy: {upload}", flush=True)
    for name, value in served.variables.items():
        print(f"  {name}={value}", flush=True)
    if config.dry_run:
        return
    try:
        ask_hub(config.to, lambda: prepare_space(api, config, served.variables))
        sent = send(
            files,
            config.to,
            "space",
            message="Deploy the Space",
            private=config.private,
            owned=[OWNED],
        )
    except IsPublic as error:
        raise HubError(f"{error}, or {upload.to_open}") from error
    page = f"https://huggingface.co/spaces/{config.to}"
    outcome = "is at" if sent.new else "has all of it already, at"
    print(f"deploy: {config.to} {outcome} {sent.commit[:7]}: {page}", flush=True)
    if served.closed:
        print(
            f"deploy: {', '.join(served.closed)}: in {page}/settings, save a token that may read "
            "it as a secret named HF_TOKEN, or the page will say that it is missing",
            flush=True,
        )


def pin_sources(api: HfApi, config: DeployConfig) -> Served:
    """Look up what the Space serves, at the newest or published commits."""
    served = Served()
    adapter, adapter_commit = config.adapter, None
    catalogue, catalogue_commit = config.catalogue, None
    if config.run:
        published = read_published(Run(Path(config.run)))
        adapter, adapter_commit = published["adapter"]["repo"], published["adapter"]["commit"]
        if "catalogue" in published:
            catalogue = published["catalogue"]["repo"]
            catalogue_commit = published["catalogue"]["commit"]
    if not adapter:
        return served
    info = ask_hub(adapter, lambda: repo_info(api, adapter, "model", adapter_commit))
    served.pin("ADAPTER", "adapter", info)
    served.preload_weights(info, ADAPTER_FILES)
    base, revision = base_of(info, api.endpoint)
    if base is None:
        raise ConfigError(
            f"adapter {adapter} was made for a base that is not on the Hub, and a Space cannot "
            "pull it: train on one that is there"
        )
    if config.base and config.base != base:
        raise ConfigError(
            f"--base is {config.base}, but adapter {adapter} was made for {base}: leave --base out"
        )
    if base == DEFAULT_BASE:
        served.variables["BASE_MODEL"] = base  # the Space fetches it from the package registry
    else:
        found = ask_hub(base, lambda: repo_info(api, base, "model", revision))
        served.pin("BASE_MODEL", "base", found)
        served.preload_weights(found, BASE_FILES)
    if catalogue:
        served.pin(
            "CATALOGUE",
            "catalogue",
            ask_hub(catalogue, lambda: repo_info(api, catalogue, "dataset", catalogue_commit)),
        )
    return served


def base_of(adapter: RepoInfo, endpoint: str) -> tuple[str | None, str | None]:
    """Read the id and the commit of an adapter's base.

    The id is None for a folder, the commit where none is named. Raises ModelError for an adapter
    that no page can serve.
    """
    names = [file.rfilename for file in adapter.siblings or ()]
    # Its config even where it is missing: the Hub's answer says so.
    wanted = ["adapter_config.json", *(["run.json"] if "run.json" in names else [])]
    paths = []
    for name in wanted:
        download = functools.partial(
            hf_hub_download, adapter.id, name, revision=adapter.sha, endpoint=endpoint
        )
        paths.append(Path(ask_hub(adapter.id, download)))
    base = read_adapter_base(adapter.id, paths[0].parent)
    if base.name == DEFAULT_BASE:
        return DEFAULT_BASE, None
    if base.revision.startswith("sha256:") or not HUB_ID.fullmatch(base.name):
        return None, None
    return base.name, None if base.revision == ANY_REVISION else base.revision


def prepare_space(api: HfApi, config: DeployConfig, variables: dict[str, str]) -> None:
    """Create the Space where there is none, and set its variables.

    The variables come before the files, so that a new Space starts once and with all it needs.
    """
    ensure_repo(api, config.to, "space", config.private, config.hardware or None)
    if config.hardware:
        runtime = api.get_space_runtime(config.to)
        if runtime.requested_hardware != config.hardware:
            api.request_space_hardware(config.to, cast(SpaceHardware, config.hardware))
    before = {name: variable.value for name, variable in api.get_space_variables(config.to).items()}
    for name in VARIABLES:
        if name in variables and before.get(name) != variables[name]:
            api.add_space_variable(config.to, name, variables[name])
        elif name in before and name not in variables:
            api.delete_space_variable(config.to, name)
    if config.bucket:
        mount_bucket(api, config.to, config.bucket)
        if "VOTES_DIR" not in before:
            api.add_space_variable(config.to, "VOTES_DIR", VOTES)


def mount_bucket(api: HfApi, space: str, bucket: str) -> None:
    """Mount a bucket as the Space's disk, beside the other volumes.

    A bucket that does not exist is made, private.
    """
    volumes = api.get_space_runtime(space).volumes or []
    if any(volume.mount_path == DISK and volume.source == bucket for volume in volumes):
        return
    api.create_bucket(bucket, private=True, exist_ok=True)
    others = [volume for volume in volumes if volume.mount_path != DISK]
    volume = Volume(type="bucket", source=bucket, mount_path=DISK)
    api.set_space_volumes(space, [*others, volume])


# --- files ---


def runtime_files() -> list[Path]:
    """List the files of space/ that a Space needs, without the sample."""
    files = sorted((ROOT / "space").rglob("*"))
    return [path for path in files if path.suffix in SUFFIXES and SAMPLE not in path.parents]


def space_files(variables: dict[str, str]) -> dict[str, Path]:
    """List the Space's files, without its card."""
    paths = [ROOT / "app.py", ROOT / "requirements.txt", ROOT / "LICENSE", *runtime_files()]
    if not variables:
        paths += sample_files()
    return {path.relative_to(ROOT).as_posix(): path for path in paths}


def sample_files() -> list[Path]:
    """List what the page reads of the sample."""
    paths = [SAMPLE / name for name in (*FILES, "catalogue/report.json")]
    for part in ("adapter", "adapter/snapshots", "catalogue/index"):
        paths += sorted((SAMPLE / part).glob("*"))
    return [path for path in paths if path.is_file()]


def readme(config: DeployConfig, served: Served) -> str:
    """Write the Space's README from our front matter and lead."""
    card, variables = SpaceCard((ROOT / "README.md").read_text(encoding="utf-8")), served.variables
    small = variables.get("BASE_MODEL", DEFAULT_BASE) == DEFAULT_BASE
    card.data["tags"] = TAGS
    card.data["startup_duration_timeout"] = STARTUP
    # For whoever duplicates it: 24 GB hold a 7B base in bf16.
    suggested = "cpu-basic" if small else "a10g-small"
    card.data["suggested_hardware"] = config.hardware or suggested
    if served.preload:
        card.data["preload_from_hub"] = served.preload
    if not config.private:  # nobody else could load it
        url = f"https://huggingface.co/spaces/{config.to}/resolve/main/{THUMBNAIL}"
        card.data["thumbnail"] = url
    names = [variables.get(name, "") for name in ("BASE_MODEL", "ADAPTER")]
    models = [name for name in names if "/" in name]
    if models:
        card.data["models"] = models
    if "CATALOGUE" in variables:
        card.data["datasets"] = [variables["CATALOGUE"]]
    card.text = PICTURE.sub("", card.text.partition("\n## ")[0]).rstrip() + "\n"
    return str(card)


def thumbnail(space: str, variables: dict[str, str]) -> bytes:
    """Draw the PNG that is shown beside links to the Space."""
    from matplotlib.figure import Figure

    base = variables.get("BASE_MODEL", DEFAULT_BASE).split("/")[-1]
    tuned = variables.get("ADAPTER", "Jatobá & Lime").split("/")[-1]
    figure = Figure(figsize=(12, 6.3), facecolor="#fffdf9")
    figure.text(0.06, 0.80, _shortened(space.split("/")[-1]), fontsize=52, weight="bold")
    figure.text(0.06, 0.68, "One question, two answers", fontsize=30, color="#6b5d4f")
    for left, colour, title, name in (
        (0.06, "#8a8178", "base", base),
        (0.53, "#b4532a", "tuned", tuned),
    ):
        axes = figure.add_axes((left, 0.14, 0.41, 0.42), facecolor=colour)
        axes.set(xticks=[], yticks=[])
        axes.text(0.06, 0.66, title, fontsize=40, color="white", weight="bold")
        axes.text(0.06, 0.30, _shortened(name), fontsize=24, color="white", parse_math=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100, metadata={"Software": None})
    return picture.getvalue()


def _shortened(name: str) -> str:
    return name if len(name) <= 26 else name[:25] + "…"
