"""How much the properties try."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile(
    "unit",
    max_examples=60,  # all of tests/unit in seconds
    deadline=None,  # a busy machine is no failure; no test may take longer than pytest's own timeout
)
hypothesis.settings.load_profile("unit")
