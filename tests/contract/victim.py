"""A process that listens to outcomes and dies of some: `python -m tests.contract.victim URL LOG HOW`.

It appends `<turn>` to LOG for every one it begins, and `words <turn>` for last words. HOW says what poison
(a turn whose id starts with `poison`) does to it: `die` or `hang`.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path

import anyio

from svc.bus import connection, jetstream, job, serve, service, streams
from svc.wire import turn

ACK_WAIT_S = 1.0
CONSUMER = "tuning-outcomes"


async def main(url: str, log: Path, how: str) -> None:
    quick = dataclasses.replace(streams.CONSUMER_BY_NAME[CONSUMER], ack_wait_s=ACK_WAIT_S)
    streams.CONSUMER_BY_NAME[CONSUMER] = quick
    jet = await jetstream.connect(url, "victim")

    def note(text: str) -> None:
        with log.open("a") as file:
            file.write(f"{text}\n")

    async def take(ended: turn.Ended, _job: job.Job) -> None:
        note(ended.turn)
        if ended.turn.startswith("slow"):
            await anyio.sleep(0.5)
        if ended.turn.startswith("poison"):
            os.kill(os.getpid(), signal.SIGKILL if how == "die" else signal.SIGSTOP)
        note(f"done {ended.turn}")

    async def words(ended: turn.Ended, _job: job.Job, _reason: str) -> None:
        note(f"words {ended.turn}")

    listen = service.Listen(CONSUMER, "evt.turn.ended", turn.Ended, take, buried=words)
    bus = connection.Connection(jet, "victim")
    await serve.Server(bus, service.Service("tuning", listens=(listen,))).run(anyio.Event(), lambda: None)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], Path(sys.argv[2]), sys.argv[3])
