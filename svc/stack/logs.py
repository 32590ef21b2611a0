"""The log file of a part: appended to, put aside when it has grown, its last lines shown after a failure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

BYTES_MAX = 4 * 1024 * 1024
"""A log larger than this is put aside (as `<part>.log.1`, replacing the one before) at the next start."""
TAIL_LINES = 12
TAIL_BYTES = 16 * 1024


class Log:
    """`<folder>/<part>.log`."""

    def __init__(self, folder: Path, part: str) -> None:
        self.path = folder / f"{part}.log"
        self._began = 0

    def open(self) -> BinaryIO:
        """The file, at its end, for one life of the part."""
        if self.path.exists() and self.path.stat().st_size > BYTES_MAX:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        file = self.path.open("ab", buffering=0)
        now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        file.write(f"--- {now} start of {self.path.stem}\n".encode())
        self._began = file.tell()
        return file

    def tail(self) -> Sequence[str]:
        """The last lines of the life that began last, oldest first; blank ones left out."""
        try:
            with self.path.open("rb") as file:
                end = file.seek(0, 2)
                file.seek(max(self._began, end - TAIL_BYTES))
                text = file.read(TAIL_BYTES).decode(errors="replace")
        except OSError:
            return ()
        return [line.rstrip() for line in text.splitlines() if line.strip()][-TAIL_LINES:]
