"""Schedule `train refresh` as a job of the Hub. Run it in the project's folder, logged in.

python docs/schedule_refresh.py SOURCE --from user/shop --schedule "0 3 * * 1"
"""

import argparse
import sys
from pathlib import Path

from huggingface_hub import HfApi, Volume, get_token

ROOT = Path(__file__).resolve().parents[1]
FILES = ["train/**", "space/**", "requirements.txt", "model_card.md", "LICENSE"]


def requirements(path: Path) -> list[str]:
    """List the packages that a requirements file names, those of its -r files too."""
    packages = []
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            packages += requirements(path.parent / line[3:].strip())
        elif line:
            packages.append(line)
    return packages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="a URL or a data set on the Hub")
    parser.add_argument("--from", dest="adapter", required=True, help="the adapter, user/name")
    parser.add_argument(
        "--schedule", default="@weekly", help="@daily, @weekly or a cron expression"
    )
    parser.add_argument("--flavor", default="a100-large")
    parser.add_argument("--timeout", default="6h")
    asked = parser.parse_args()
    token, api = get_token(), HfApi()
    if not token:
        sys.exit("error: log in with `hf auth login`, or set HF_TOKEN")
    code = f"{asked.adapter}-code"
    api.create_repo(code, private=True, exist_ok=True)
    commit = api.upload_folder(
        repo_id=code,
        folder_path=ROOT,
        allow_patterns=FILES,
        ignore_patterns=["**/__pycache__/**", "space/sample/**"],
        commit_message="Code to refresh with",
    )
    words = ["-m", "train", "refresh", asked.source, "--from", asked.adapter]
    job = api.create_scheduled_uv_job(
        "python",
        script_args=[*words, "--push-every", "200"],
        schedule=asked.schedule,
        concurrency=False,  # one that is still running is not joined by the next
        dependencies=requirements(ROOT / "train" / "requirements.txt"),
        python="3.12",
        flavor=asked.flavor,
        timeout=asked.timeout,
        env={"PYTHONPATH": "/code"},
        secrets={"HF_TOKEN": token},
        volumes=[
            Volume(type="model", source=code, mount_path="/code", revision=commit.oid),
        ],
        namespace=asked.adapter.split("/")[0],
        name=f"refresh-{asked.adapter.split('/')[1]}",
    )
    print(f"{job.id}: {asked.schedule}, {' '.join(words)}")


if __name__ == "__main__":
    main()
