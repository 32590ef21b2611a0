from __future__ import annotations

from svc.crawler import indexing


def test_pauses_double_up_to_the_longest() -> None:
    assert [indexing.backoff_s(attempt) for attempt in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert indexing.backoff_s(10_000) == 30
