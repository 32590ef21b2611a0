"""One whole stack with the real embedded model, shared by the tests that only talk to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from svc import config
from tests import stacks

CANARY_TITLE = "The lighthouse parrot"
CANARY = "Zanzibar Quillfeather"
"""A name that no model and no other article knows."""
ARTICLE = f"""---
title: {CANARY_TITLE}
licence: CC0-1.0
source: test
tags: [lighthouse]
---

# {CANARY_TITLE}

The keeper of the old Quahog lighthouse has a parrot that is called {CANARY}. The parrot guards the lamp.

## Habits

The lighthouse parrot eats sunflower seeds and shouts at ships that pass the harbour.
"""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stacks.Stack]:
    folder = tmp_path_factory.mktemp("first-light")
    knowledge = folder / "knowledge"
    shutil.copytree(config.shipped("knowledge"), knowledge)
    (knowledge / "things" / "lighthouse-parrot.md").write_text(ARTICLE)
    with stacks.running(folder / "data", knowledge=str(knowledge)) as running:
        yield running
