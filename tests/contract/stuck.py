"""`quahog run llm` with an engine that hangs in a thread at the turn `stuck`.

Nothing that is asked of it ends that thread, as with a model on a processor or a GPU that went astray.
"""

from __future__ import annotations

import sys
import threading

import anyio.to_thread

from svc import host
from svc.bus import limits
from svc.llm import choice, engine, instant, settings

STALL_S = 1.0


class Stuck(instant.Instant):
    async def generate(self, ask: engine.Ask, on_token: engine.OnToken) -> engine.Drafts:
        if ask.turn == "stuck":
            await anyio.to_thread.run_sync(threading.Event().wait)
        return await super().generate(ask, on_token)


async def choose(wanted: settings.Settings) -> choice.Choice:
    made = Stuck(context=wanted.num_ctx, delay_ms=wanted.instant_delay_ms)
    made.silence_s = STALL_S
    return choice.Choice(made, "it hangs when told to")


if __name__ == "__main__":
    limits.HEARTBEAT_S = STALL_S / 4
    choice.choose = choose
    sys.exit(host.run(["llm"]))
