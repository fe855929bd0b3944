"""Records on their way into a service: decoded one by one, the bad ones apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from contracts.event import Envelope, Event, UndecodableEventError, decode


class Record(Protocol):
    """What aiokafka hands over, and what a parked row looks like."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record that was kept in the database."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Received(Generic[E_co]):
    """One decoded record and where it came from."""

    record: Record
    envelope: Envelope

    @property
    def event(self) -> E_co:
        return cast("E_co", self.envelope.event)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record that cannot be decoded or applied, and why. The reason holds no content."""

    record: Record
    reason: str


def decode_all(
    records: Iterable[Record], types: Mapping[str, type[Event]]
) -> tuple[list[Received[Any]], list[SetAside]]:
    """Decode record by record, in order; tombstones are passed over."""
    good: list[Received[Any]] = []
    bad: list[SetAside] = []
    for record in records:
        if record.value is None:
            continue
        try:
            envelope = decode(record.value, types)
            if envelope.event.type != record.topic:
                bad.append(SetAside(record, f"type {envelope.event.type} does not belong on this topic"))
            else:
                good.append(Received(record, envelope))
        except UndecodableEventError as error:
            bad.append(SetAside(record, str(error)))
    return good, bad
