"""The outbox of the surfaces console and http."""

from __future__ import annotations

import time

import pytest

from svc.bridge import posting
from svc.bus import job, subjects
from svc.wire import message
from tests.unit.bridge import fake

pytestmark = pytest.mark.anyio


def say(*, expires_at: float = 0.0) -> message.Say:
    return message.Say(
        turn="t1",
        surface="console",
        channel="console-main",
        character="peter",
        text="{Hey}",
        notice=True,
        reply_to="n",
        expires_at=expires_at,
    )


def delivery(bus: fake.FakeBus, subject: str = "say.console.peter.t1.0") -> job.Job:
    return job.Job(
        bus=bus.door(),
        subject=subjects.parse(subject),
        deadline=time.time() + 9,
        stored_at=time.time(),
        sequence=1,
        deliveries=1,
    )


async def test_a_say_becomes_one_receipt_however_often_it_is_delivered(bus: fake.FakeBus) -> None:
    subject = posting.Posting()
    for _ in range(2):
        await subject.post(say(expires_at=time.time() + 60), delivery(bus))
    assert list(bus.published) == ["evt.message.posted.t1.0"]
    receipt = bus.published["evt.message.posted.t1.0"]
    assert isinstance(receipt, message.Posted)
    assert (receipt.native, receipt.piece, receipt.text, receipt.notice) == ("t1-0", 0, "{Hey}", True)
    assert (receipt.channel, receipt.character, receipt.reply_to) == ("console-main", "peter", "n")
    assert abs(receipt.at - time.time()) < 5
    assert subject.counts["posted"] == 1


async def test_a_second_piece_is_a_receipt_of_its_own(bus: fake.FakeBus) -> None:
    await posting.Posting().post(say(), delivery(bus, "say.http.peter.t1.1"))
    assert list(bus.published) == ["evt.message.posted.t1.1"]


async def test_what_comes_too_late_is_not_posted(bus: fake.FakeBus) -> None:
    subject = posting.Posting()
    await subject.post(say(expires_at=time.time() - 1), delivery(bus))
    assert subject.counts == {"expired": 1}
    (undelivered,) = bus.published.values()
    assert isinstance(undelivered, message.Undelivered)
    assert (undelivered.reason, undelivered.turn) == ("expired", "t1")


async def test_what_was_posted_in_time_is_not_late_when_it_comes_again(bus: fake.FakeBus) -> None:
    """The broker forgot the ack, or somebody retried a dead letter: it was posted all the same."""
    subject, again = posting.Posting(), delivery(bus)
    await subject.post(say(expires_at=time.time() + 60), delivery(bus))
    again.deliveries = 2
    await subject.post(say(expires_at=time.time() - 60), again)
    assert list(bus.published) == ["evt.message.posted.t1.0"]
