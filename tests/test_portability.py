"""Every module can be imported on Windows, whose Python lacks some of the standard library."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UNIX_ONLY = {
    "curses",
    "fcntl",
    "grp",
    "posix",
    "pty",
    "pwd",
    "resource",
    "syslog",
    "termios",
    "tty",
}
IMPORTER = """
import builtins, importlib, pathlib
imported = builtins.__import__

def as_on_windows(name, globals=None, *more, **named):
    ours = (globals or {}).get("__name__", "").split(".")[0] in ("space", "train")
    if ours and name in UNIX_ONLY:
        raise ModuleNotFoundError(f"No module named {name!r}")
    return imported(name, globals, *more, **named)

builtins.__import__ = as_on_windows
for path in sorted([*pathlib.Path("space").rglob("*.py"), *pathlib.Path("train").rglob("*.py")]):
    importlib.import_module(".".join(path.with_suffix("").parts))
"""


@pytest.mark.slow
def test_every_module_is_imported_on_windows():
    done = subprocess.run(
        [sys.executable, "-c", f"UNIX_ONLY = {UNIX_ONLY}{IMPORTER}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
