"""Records on their way into a service: decoded one by one, the bad ones apart."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Received(Generic[E_co]):
    """One decoded record and where it came from."""

    record: Record
    envelope: Envelope
    event: E_co = field(init=False)

    def __post_init__(self) -> None:
        self.event = cast("E_co", self.envelope.event)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record that cannot be decoded or applied, and why. The reason holds no content."""

    record: Record
    reason: str


Decoder = Callable[[bytes], Envelope]
"""Reads one record's value; raises `UndecodableEventError`."""
Decoded = tuple[list["Received[Any]"], list[SetAside]]
"""The good records of a batch, and the bad ones."""


def decode_all(
    records: Iterable[Record], types: Mapping[str, type[Event]], decoders: Mapping[str, Decoder] | None = None
) -> Decoded:
    """Decode record by record, in order; tombstones are passed over. A topic may have a decoder of its own."""
    good: list[Received[Any]] = []
    bad: list[SetAside] = []
    decoders = decoders or {}
    for record in records:
        topic, value = record.topic, record.value
        if value is None:
            continue
        own = decoders.get(topic)
        try:
            envelope = own(value) if own else decode(value, types)
            if envelope.event.type != topic:
                bad.append(SetAside(record, f"type {envelope.event.type} does not belong on this topic"))
            else:
                good.append(Received(record, envelope))
        except UndecodableEventError as error:
            bad.append(SetAside(record, str(error)))
    return good, bad
