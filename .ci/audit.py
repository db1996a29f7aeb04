"""Ask pip-audit for known vulnerabilities of everything that the project installs.

Run it with the Python of an environment that has pip-audit: `python .ci/audit.py`. It ends with 1
where something is found, and with 0 and a line that says so where the service cannot be asked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def requirement_files() -> list[Path]:
    """List constraints.txt, which has the indirect packages, and every requirements.txt."""
    found = [*ROOT.glob("requirements.txt"), *ROOT.glob("[a-z]*/requirements.txt")]
    return [ROOT / "constraints.txt", *sorted(found)]


def audit(path: Path) -> tuple[list[str], list[str]]:
    """Return (what is vulnerable, what the service did not know) of one file.

    Raises RuntimeError where nothing could be asked.
    """
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "-r", str(path)]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        words = done.stderr.strip().splitlines() or ["no answer"]
        raise RuntimeError(words[-1]) from None
    found, unknown = [], []
    for each in dependencies:
        if "skip_reason" in each:
            unknown.append(each["name"])
        for problem in each.get("vulns", ()):
            mended = ", ".join(problem["fix_versions"]) or "no version yet"
            found.append(f"{each['name']} {each['version']}: {problem['id']}, mended in {mended}")
    if len(unknown) == len(dependencies):
        raise RuntimeError("it knows none of these packages, as a mirror or a firewall answers")
    return found, unknown


def main() -> int:
    """Audit every file, print what was found, and return the exit code."""
    worst = 0
    for path in requirement_files():
        name = path.relative_to(ROOT).as_posix()
        if not any(line[:1].isalpha() for line in path.read_text("utf-8").splitlines()):
            continue
        try:
            found, unknown = audit(path)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"audit: {name} was SKIPPED, the service cannot be asked: {error}", flush=True)
            continue
        for line in found:
            print(f"audit: {name}: {line}", flush=True)
            worst = 1
        if unknown:
            print(f"audit: {name}: not known to the service: {', '.join(unknown)}", flush=True)
        if not found:
            print(f"audit: {name}: no known vulnerability", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
