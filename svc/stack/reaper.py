"""Run as a process of its own: kill what a killed supervisor left behind.

Reads `+<group>` and `-<group>` lines from its standard input; at its end (the supervisor is gone, however it
went) every process group still listed is killed. It imports nothing of ours, so it costs 15 ms and 8 MB.
It also inherits the lock of the data folder, so nobody starts on that folder before the last writer is dead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

GONE_S = 2.0
"""How long to wait for the killed to disappear before the lock is let go regardless."""
POLL_S = 0.01


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the supervisor and not before
    groups: set[int] = set()
    for line in sys.stdin:
        change = groups.add if line[0] == "+" else groups.discard
        change(int(line[1:]))
    deadline = time.monotonic() + GONE_S
    while groups and time.monotonic() < deadline:
        groups = {group for group in groups if _killed(group)}
        time.sleep(POLL_S)


def _killed(group: int) -> bool:
    """Kill everything in the group; False once there is nothing left in it."""
    with contextlib.suppress(PermissionError):  # macOS says so for a group of zombies
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return False
    return True


if __name__ == "__main__":
    main()
