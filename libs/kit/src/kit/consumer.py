"""At-least-once consumption: one transaction per batch, then offsets; a bad record costs only itself."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from zlib import crc32

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.event import Event
from kit import dlq, inbox, logging, metrics, parking
from kit.clock import Clock
from kit.errors import DomainError, MissingReferentError
from kit.received import Decoded, Decoder, Received, Record, SetAside, decode_all

log = logging.get(__name__)

E = TypeVar("E", bound=Event)
Handler = Callable[[AsyncSession, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Lanes:
    """Into how many transactions, side by side, a batch goes at most.

    Each has its round trips whatever it holds, so fewer records than `records` are not worth one of their own.
    """

    at_most: int
    records: int = 300

    def wanted(self, records: int) -> int:
        return max(1, min(self.at_most, records // self.records))


ONE_LANE: Final = Lanes(1)


@dataclass(slots=True)
class Batch:
    """The decoded records of one event type in one transaction; a batch handler sorts out what it cannot apply."""

    received: Sequence[Received[Any]]
    set_aside: list[SetAside] = field(default_factory=list)
    parked: list[tuple[Received[Any], str]] = field(default_factory=list)

    def reject(self, received: Received[Any], reason: str) -> None:
        """Send this record to the DLQ; the others of the batch are applied."""
        self.set_aside.append(SetAside(received.record, reason))

    def park(self, received: Received[Any], referent: str) -> None:
        """Keep this event until `parking.release(session, referent)`."""
        self.parked.append((received, referent))


BatchHandler = Callable[[AsyncSession, Batch], Awaitable[None]]


class Consumer:
    """A consumer group and what it does with each event type.

    Handlers are deduped through the inbox; batch handlers dedupe themselves.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self._handlers: dict[str, Handler] = {}
        self._batch_handlers: dict[str, BatchHandler] = {}
        self._types: dict[str, type[Event]] = {}
        self._decoders: dict[str, Decoder] = {}

    def on(
        self, event: type[E]
    ) -> Callable[[Callable[[AsyncSession, E], Awaitable[None]]], Callable[[AsyncSession, E], Awaitable[None]]]:
        def register(
            handler: Callable[[AsyncSession, E], Awaitable[None]],
        ) -> Callable[[AsyncSession, E], Awaitable[None]]:
            self._handlers[event.type] = handler
            self._types[event.type] = event
            return handler

        return register

    def on_batch(self, event: type[Event], *, decode: Decoder | None = None) -> Callable[[BatchHandler], BatchHandler]:
        """`decode` takes the place of the contract's own for a topic that carries very much."""

        def register(handler: BatchHandler) -> BatchHandler:
            if decode is not None:
                self._decoders[event.type] = decode
            self._batch_handlers[event.type] = handler
            self._types[event.type] = event
            return handler

        return register

    @property
    def topics(self) -> list[str]:
        return sorted(self._types)

    def decode(self, records: Sequence[Record]) -> Decoded:
        """What can be done before the transaction; `apply` of what this gives may be called again and again."""
        return decode_all(records, self._types, self._decoders)

    def parts(self, decoded: Decoded, *, lanes: int) -> list[list[Decoded]]:
        """A batch as transactions: the parts one after another, the lanes of a part, by number, side by side.

        What has a handler of its own comes first; whole batches follow in lanes, which share no key, so that one is
        with the database while another is in Python. Not by partition: a large batch is all there is of two or three
        of them, so that lanes were empty or twice as long as others. Without lanes it is one transaction.
        """
        good, bad = decoded
        if lanes == 1:
            return [[decoded]]
        alone = [one for one in good if one.record.topic not in self._batch_handlers]
        sides: list[list[Received[Any]]] = [[] for _ in range(lanes)]
        for one in good:
            if one.record.topic in self._batch_handlers:
                sides[crc32(one.record.key or b"") % lanes].append(one)
        first: list[list[Decoded]] = [[(alone, bad)]] if alone or bad else []
        return [*first, [(side, []) for side in sides]]

    async def apply(self, session: AsyncSession, records: Sequence[Record], *, clock: Clock) -> None:
        """Apply a batch in this transaction. Raises only what makes the whole batch worth trying again."""
        await self.apply_decoded(session, self.decode(records), clock=clock)

    async def apply_decoded(self, session: AsyncSession, decoded: Decoded, *, clock: Clock) -> None:
        """`apply` for records that are decoded already."""
        received, set_aside = decoded[0], list(decoded[1])
        by_type: dict[str, list[Received[Any]]] = defaultdict(list)
        for one in received:
            if one.event.type in self._batch_handlers:
                by_type[one.event.type].append(one)
            elif reason := await self._apply_one(session, one):
                set_aside.append(SetAside(one.record, reason))
        for event_type, group in by_type.items():
            batch = Batch(group)
            await self._batch_handlers[event_type](session, batch)
            set_aside += batch.set_aside
            await self._park(session, batch.parked)
            metrics.RECORDS_APPLIED.labels(self.group, event_type).inc(len(group))
        if set_aside:
            await dlq.add(session, self.group, set_aside, clock=clock)

    async def _apply_one(self, session: AsyncSession, received: Received[Any]) -> str | None:
        """Apply one event in a savepoint; returns why it must be set aside, if it must."""
        event, topic = received.event, received.record.topic
        try:
            async with session.begin_nested():
                claimed = await inbox.claim(session, self.group, event.id, digest=received.envelope.digest)
                if claimed == "new":
                    await self._handlers[event.type](session, event)
        except MissingReferentError as missing:
            await self._park(session, [(received, missing.referent)])
            return None
        except DomainError as error:
            return f"{error.code}: {error.detail}"
        if claimed == "conflict":
            metrics.CONFLICTS.labels(self.group, topic).inc()
            return "the same id came before with other content"
        (metrics.RECORDS_APPLIED if claimed == "new" else metrics.RECORDS_REPEATED).labels(self.group, topic).inc()
        return None

    async def _park(self, session: AsyncSession, waiting: list[tuple[Received[Any], str]]) -> None:
        for received, referent in waiting:
            metrics.RECORDS_PARKED.labels(self.group, received.record.topic).inc()
            # Ordinary: topics have no order among each other. Whatever stays parked is warned of by the retrier.
            log.debug(
                "kit.event_parked", topic=received.record.topic, event_id=str(received.event.id), referent=referent
            )
        await parking.park(session, self.group, waiting)
