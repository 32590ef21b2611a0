"""The scripted part of the world: characters, retriever, model and gate, whose answers say what was asked.

A person's message says how many drafts the gate shall refuse ("…, refuse 2."); a draft says which turn and
which attempt it was made for, so words that end up in the wrong place are seen.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator

from svc.bus import job, service
from svc.wire import characters, llm, quality, retriever
from tests.unit.router import setup

PETER, BRIAN = "peter", "brian"
REFUSE = re.compile(r"refuse (\d+)")
DRAFT = re.compile(r"Take (\d+) of \w+\.")


def text(refuse: int, number: int = 1) -> str:
    """What a person says."""
    return f"Message {number}, refuse {refuse}."


def refusals(text: str) -> int:
    """How many drafts such a message has refused."""
    found = REFUSE.search(text)
    assert found, text
    return int(found[1])


def draft(turn: str, take: int) -> str:
    return f"Take {take} of {turn}."


class Troupe(setup.Company):
    """One for all processes: scripted services know nothing they could forget."""

    async def list(self, _request: characters.ListRequest, _job: job.Job) -> characters.Cast:
        lines = characters.Fallbacks(failed=setup.FAILED, busy=("Busy.",), unknown=("Dunno.",))
        return characters.Cast(
            packs=tuple(
                characters.Pack(id=name, name=name.title(), summary="s", fallbacks=lines)
                for name in (PETER, BRIAN)
            )
        )

    async def generate(self, request: llm.GenerateRequest, job_: job.Job) -> llm.Generation:
        made = draft(job_.subject.turn, int(job_.subject.n))
        return llm.Generation(candidates=(llm.Candidate(text=made),), model=self.model)

    async def assess(self, request: quality.AssessRequest, _job: job.Job) -> quality.Assessment:
        made = DRAFT.fullmatch(request.replies[0])
        assert made, request.replies
        self.good = request.replies if int(made[1]) > refusals(request.user) else ()
        return quality.Assessment(verdicts=(self._verdict(request.replies[0]),), best=0)

    def openers(self) -> dict[str, service.Opener]:
        """Service name -> how a process of it begins."""
        answers = {
            "characters": (
                service.Answer("list", characters.ListRequest, characters.Cast, self.list, 2),
                service.Answer("prompt", characters.PromptRequest, characters.Prompt, self.prompt, 2),
            ),
            "retriever": (
                service.Answer("search", retriever.SearchRequest, retriever.Passages, self.search, 2),
            ),
            "llm": (
                service.Answer("generate", llm.GenerateRequest, llm.Generation, self.generate, 5, paid=True),
            ),
            "quality": (service.Answer("assess", quality.AssessRequest, quality.Assessment, self.assess, 2),),
        }
        return {name: _opener(service.Service(name, made)) for name, made in answers.items()}


def _opener(served: service.Service) -> service.Opener:
    @contextlib.asynccontextmanager
    async def open(_app: service.App) -> AsyncIterator[service.Service]:
        yield served

    return open
