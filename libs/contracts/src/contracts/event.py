"""CloudEvents 1.0 envelopes in JSON, structured mode, round frozen pydantic models."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Self
from uuid import UUID

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

MAX_BIGINT: Final = 2**63 - 1


class UndecodableEventError(ValueError):
    """A record's bytes are not an event that this version of the contracts knows."""


def _parse_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("an amount is an integer in a string")  # noqa: TRY004  # pydantic catches ValueError only
    number = int(value)
    if abs(number) > MAX_BIGINT:
        raise ValueError("an amount fits into 64 bits")
    return number


IntString = Annotated[
    int,
    BeforeValidator(_parse_int),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^-?[0-9]{1,19}$"}),
]
"""An integer amount; in JSON a string, because JSON numbers lose digits past 2^53."""


class Part(BaseModel):
    """A frozen piece of an event's data; unknown fields of newer producers are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Part):
    """One fact. `id` is made from the fact, not from the emission; `time` is when it happened.

    Subclasses set `type` (also the topic's name) and `key_fields` (the fields that make the Kafka key).
    """

    type: ClassVar[str]
    key_fields: ClassVar[tuple[str, ...]] = ("account_id",)

    id: UUID
    time: AwareDatetime

    @property
    def key(self) -> str:
        return ":".join(str(getattr(self, field)) for field in self.key_fields)

    def payload(self) -> dict[str, Any]:
        """The CloudEvents `data` as JSON values."""
        return self.model_dump(mode="json", exclude={"id", "time"})

    def encode(self, source: str) -> bytes:
        """The bytes for Kafka; `source` is the service that states the fact."""
        data = self.model_dump(mode="json")
        event_id, time = data.pop("id"), data.pop("time")
        return encode_fields(
            event_id=event_id, time=time, source=source, event_type=self.type, subject=self.key, data=data
        )

    @classmethod
    def from_envelope(cls, envelope: Mapping[str, Any]) -> Self:
        return cls.model_validate({**envelope["data"], "id": envelope["id"], "time": envelope["time"]})


def encode_fields(
    *, event_id: str, time: str | datetime, source: str, event_type: str, subject: str, data: Mapping[str, Any]
) -> bytes:
    """The envelope round what are JSON values already, times (UTC) aside; `Event.encode` unless there is a hurry."""
    envelope = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"faregate/{source}",
        "type": event_type,
        "subject": subject,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }
    return orjson.dumps(envelope, option=orjson.OPT_UTC_Z)


@dataclass(slots=True)  # not frozen: that would make each four times as dear, and one is made per record
class Envelope:
    """A decoded record: the event, who said it, and its data as it came."""

    event: Event
    source: str
    data: Mapping[str, Any]
    known_digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical data: what two emissions of one fact must share."""
        return self.known_digest or data_digest(self.data)


def data_digest(data: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).digest()


def decode(value: bytes | None, types: Mapping[str, type[Event]]) -> Envelope:
    """Decode one record; raises `UndecodableEventError` with the reason, never with the content."""
    if value is None:
        raise UndecodableEventError("the record has no value")
    try:
        envelope = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise UndecodableEventError(f"not JSON: {error.msg}") from None
    if not isinstance(envelope, dict) or envelope.get("specversion") != "1.0":
        raise UndecodableEventError("not a CloudEvents 1.0 envelope")
    event_type = types.get(str(envelope.get("type")))
    if event_type is None:
        raise UndecodableEventError("unknown event type")
    if not isinstance(envelope.get("data"), dict) or "id" not in envelope or "time" not in envelope:
        raise UndecodableEventError("the envelope lacks id, time or data")
    try:
        event = event_type.from_envelope(envelope)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, e["loc"])) for e in error.errors(include_input=False)}))
        raise UndecodableEventError(f"{event_type.type}: invalid fields: {fields}") from None
    return Envelope(event, str(envelope.get("source", "")), envelope["data"])
