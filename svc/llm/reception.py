"""What comes back from the embedded engine: pieces of several drafts, from a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from svc.llm import draft, engine

REASON_CHARS = 300
"""Template errors quote the template."""


class Reception:
    """Puts the pieces of all candidates together. Used on the event loop only."""

    def __init__(self, ask: engine.Ask, on_token: engine.OnToken) -> None:
        self._opener = ask.opener
        self._on_token = on_token
        self._texts = [""] * ask.candidates
        self._tokens = [0] * ask.candidates
        self._finished: dict[int, str] = {}
        self._error: engine.EngineError | None = None

    def take(self, chunk: Mapping[str, Any]) -> None:
        if "error" in chunk:
            self._error = failure(chunk["error"])
            return
        choice = chunk["choices"][0]
        index, text = choice["index"], choice["text"]
        self._texts[index] += text
        if choice["finish_reason"]:
            self._finished[index] = choice["finish_reason"]
            self._tokens[index] = chunk.get("usage", {}).get("completion_tokens", 0)
        self._on_token(index, text)  # an empty text: a batch of the prompt was read

    def fail(self, reason: str) -> None:
        self._error = failure({"message": reason})

    def drafts(self, prompt_tokens: int) -> engine.Drafts:
        if self._error is not None:
            raise self._error
        if len(self._finished) < len(self._texts):
            raise engine.EngineError("the embedded engine stopped in the middle of a draft; try again")
        return engine.Drafts(
            tuple(
                engine.Draft(
                    text=draft.joined(self._opener, text),
                    tokens=self._tokens[index],
                    finish="length" if self._finished[index] == "length" else "stop",
                )
                for index, text in enumerate(self._texts)
            ),
            prompt_tokens,
        )


def callback(
    loop: asyncio.AbstractEventLoop, take: Callable[[Mapping[str, Any]], None], stop: threading.Event
) -> Callable[[Mapping[str, Any]], bool]:
    """What the engine calls in its thread; True tells it to stop. An exception would be swallowed."""

    def hear(chunk: Mapping[str, Any]) -> bool:
        if not stop.is_set():
            try:
                loop.call_soon_threadsafe(take, chunk)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return True
        return stop.is_set()

    return hear


def failure(error: Mapping[str, Any]) -> engine.EngineError:
    """The engine's own words, of which there may be many lines, as one of ours."""
    message = " ".join(str(error.get("message", "no reason given")).split())[:REASON_CHARS]
    if error.get("code") == 400:
        return engine.BadPrompt(f"the embedded engine refuses this prompt: {message}")
    return engine.EngineError(f"the embedded engine failed: {message}")
