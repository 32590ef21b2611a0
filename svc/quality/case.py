"""What one reply is judged on: the scene it was said in, and the reply in its plain form."""

from __future__ import annotations

import dataclasses
import functools

from svc import embedding
from svc.quality import text, troupe
from svc.wire import characters, quality

HISTORY_LINES = 12
"""Lines of history that bear on a reply; older ones are another conversation."""
NEAR_LINES = 4
"""Of these, the ones a reply may plausibly pick up."""
PASSAGE_CHARS = 600
"""Of a passage, what is compared with the reply: its topic shows at its beginning."""


class Scene:
    """One request, read once for all its replies."""

    def __init__(self, request: quality.AssessRequest, cast: troupe.Troupe) -> None:
        self.request = request
        self.cast = cast
        self.pack: characters.Pack = cast.packs[request.character]
        self.user = text.plain(request.user)
        self.user_words = text.words(self.user)
        self.recent = request.history[-HISTORY_LINES:]
        self.near = tuple(text.plain(line.text) for line in self.recent[-NEAR_LINES:])
        self.ours = tuple(text.plain(line.text) for line in self.recent if line.character and not line.notice)
        """What the cast said lately, whoever of it."""
        self.passages = tuple(text.plain(passage.text) for passage in request.passages)

    @functools.cached_property
    def people(self) -> frozenset[str]:
        """Lower-case names of everybody but the character who may head a line of a script."""
        present = {line.author.name.lower() for line in self.recent} | {self.request.author.lower()}
        return (self.cast.speakers | present) - set(self.names) - {""}

    @property
    def names(self) -> tuple[str, ...]:
        """The character's own names."""
        return self.cast.names[self.pack.id]

    @functools.cached_property
    def given(self) -> tuple[str, ...]:
        """Every text the reply could have taken something from."""
        return (self.user, *(text.plain(line.text) for line in self.request.history), *self.passages)


class Case:
    """One reply in its scene."""

    def __init__(self, scene: Scene, reply: str) -> None:
        self.scene = scene
        self.raw = reply
        self.text = text.plain(reply)
        self.words = text.words(self.text)


@dataclasses.dataclass(frozen=True, slots=True)
class Meaning:
    """The vectors of a case; each matrix has one row per text of the same name in its scene."""

    reply: embedding.Vectors
    """Shape (dimensions,)."""
    user: embedding.Vectors
    """Shape (dimensions,)."""
    near: embedding.Vectors
    ours: embedding.Vectors
    passages: embedding.Vectors
