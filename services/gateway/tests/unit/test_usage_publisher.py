"""The usage event on its way to Kafka: its bytes are made once, and the same fact is the same bytes (money.md 12)."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from contracts.event import decode
from contracts.gateway import Allocation, UsageRecorded
from contracts.money import Unit
from gateway.usage.publisher import UsagePublisher
from gateway.usage.report import CallReport, orphan_event
from kit.clock import ManualClock
from kit.ids import uuid7
from kit.producer import ProducerError

ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
REPORT = CallReport(
    surface="/v1/messages",
    streamed=True,
    model_asked="claude-sonnet-4-5",
    route="anthropic",
    price_book_version=1,
    markup_bps=1500,
)


class Kafka:
    """Takes what the publisher sends; refuses the first `failures`, as when an acknowledgement is lost."""

    def __init__(self, *, failures: int = 0) -> None:
        self.failures = failures
        self.sent: list[tuple[str, bytes | None, bytes | None]] = []

    async def send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        self.sent.append((topic, key, value))
        if self.failures:
            self.failures -= 1
            raise ProducerError("not acknowledged")


def publisher_on(kafka: Kafka, clock: ManualClock) -> UsagePublisher:
    return UsagePublisher(kafka, clock=clock, instance="gateway-1")  # type: ignore[arg-type]  # only `send` is used


async def orphaned(publisher: UsagePublisher, call_id: UUID, amount: int = 10**15 + 1) -> None:
    allocation = (Allocation(slice_id=ACCOUNT, unit=Unit.CREDIT, amount=amount),)
    await publisher.orphaned(ACCOUNT, call_id, REPORT.encode(), allocation, NOON)


async def test_an_event_is_sent_once_keyed_by_its_account_and_named_by_its_call() -> None:
    clock, kafka = ManualClock(), Kafka()
    event = orphan_event(
        REPORT, account_id=ACCOUNT, call_id=uuid7(clock), instance="gateway-1", allocation=(), admitted_at=NOON
    )

    assert await publisher_on(kafka, clock).store(event)

    ((topic, key, value),) = kafka.sent
    assert (topic, key) == (UsageRecorded.type, str(ACCOUNT).encode())
    assert decode(value, {UsageRecorded.type: UsageRecorded}).event == event


async def test_a_call_that_is_swept_again_after_a_lost_acknowledgement_is_reported_in_the_same_bytes() -> None:
    clock, kafka = ManualClock(), Kafka(failures=1)
    publisher, call_id = publisher_on(kafka, clock), uuid7(clock)
    with pytest.raises(ProducerError):
        await orphaned(publisher, call_id)
    clock.advance(3600)

    await orphaned(publisher, call_id)

    first, second = kafka.sent
    assert first == second


async def test_an_amount_travels_to_the_books_as_text_with_every_digit() -> None:
    """(money.md 2)."""
    clock, kafka = ManualClock(), Kafka()

    await orphaned(publisher_on(kafka, clock), uuid7(clock), amount=2**53 + 1)

    assert b'"amount":"9007199254740993"' in (kafka.sent[0][2] or b"")
