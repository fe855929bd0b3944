"""What a record of a DLQ looks like, and how it becomes the original again.

Apart from `kit.dlq`: the gateway has no database, and what speaks to one would be a quarter of each of its starts.
"""

import base64
from typing import Any

import orjson

from kit.received import SetAside


def encode(aside: SetAside, *, group: str) -> bytes:
    """The DLQ record: origin, reason, and the original bytes in base64."""
    record = aside.record
    return orjson.dumps(
        {
            "group": group,
            "reason": aside.reason,
            "origin": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
            "key": _base64(record.key),
            "value": _base64(record.value),
        }
    )


def original(value: bytes) -> tuple[str, bytes | None, bytes | None]:
    """Topic, key and value of the record that was set aside: what a replay sends again."""
    aside: dict[str, Any] = orjson.loads(value)
    return aside["origin"]["topic"], _bytes(aside["key"]), _bytes(aside["value"])


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)
