"""An event on its way out of the gateway."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from gateway.usage.segments import HEAD_BYTES, framed
from kit.partitions import key_hash

_HEAD_BYTES: Final = 16 + 2 + 2 + 4

Memo = Callable[[], bytes]


class Outgoing:
    """Bytes for a topic, and who waits to hear that they are durable. `event_id` is the call's for usage events.

    `memo` makes what admission needs to enter the call again after a loss of Redis; it is asked only if the event must
    go to the spool.
    """

    __slots__ = ("event_id", "is_durable", "key", "key_hash", "made_s", "memo", "then", "topic", "value")

    def __init__(  # noqa: PLR0917  # made once per call: keywords cost
        self,
        topic: str,
        key: bytes,
        key_hash: int,
        value: bytes,
        event_id: UUID,
        then: Callable[[bool], None] | None,
        memo: Memo | None,
        made_s: float,
    ) -> None:
        self.topic = topic
        self.key = key
        self.key_hash = key_hash
        self.value = value
        self.event_id = event_id
        self.then = then
        self.memo = memo
        self.made_s = made_s
        self.is_durable = False

    @property
    def spooled_bytes(self) -> int:
        """About as much as it takes in the spool."""
        return HEAD_BYTES + _HEAD_BYTES + len(self.topic) + len(self.key) + len(self.value)

    def spooled(self) -> bytes:
        """As it lies in the spool."""
        topic, memo = self.topic.encode(), self.memo() if self.memo is not None else b""
        lengths = len(topic).to_bytes(2) + len(self.key).to_bytes(2) + len(memo).to_bytes(4)
        return framed(b"".join((self.event_id.bytes, lengths, topic, self.key, memo, self.value)))


def unspooled(payload: bytes) -> tuple[Outgoing, bytes]:
    """What a record of the spool holds: the event, not yet hashed, and its memo."""
    start = _HEAD_BYTES
    topic_end = start + int.from_bytes(payload[16:18])
    key_end = topic_end + int.from_bytes(payload[18:20])
    memo_end = key_end + int.from_bytes(payload[20:24])
    topic, key = payload[start:topic_end].decode(), payload[topic_end:key_end]
    event = Outgoing(topic, key, key_hash(key), payload[memo_end:], UUID(bytes=payload[:16]), None, None, 0.0)
    return event, payload[key_end:memo_end]
