"""Usage events decoded without pydantic: they are most of what the ledger reads.

Only the form in which gateways write is read here; whatever differs in the least is left to `contracts.event.decode`,
so that what is refused, and why, is the contract's to say. A test holds the two against each other.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, cast
from uuid import UUID

import msgspec
import orjson
from asyncpg.pgproto import pgproto

from contracts.event import Envelope, data_digest, decode
from contracts.gateway import Basis, Outcome, UsageRecorded
from contracts.money import Unit

Count = Annotated[int, msgspec.Meta(ge=0)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]

TYPES: Final = {UsageRecorded.type: UsageRecorded}
# What the driver takes without a conversion, and what hashes and compares without Python.
_uuid: Final = pgproto.UUID


class _Counts(msgspec.Struct, gc=False):
    input_tokens: Count = 0
    cache_write_5m_tokens: Count = 0
    cache_write_1h_tokens: Count = 0
    cache_read_tokens: Count = 0
    output_tokens: Count = 0
    web_search_requests: Count = 0
    web_fetch_requests: Count = 0
    code_execution_requests: Count = 0


class _Allocation(msgspec.Struct, gc=False):
    slice_id: Any
    unit: Unit
    amount: Any


class _Client(msgspec.Struct, gc=False):
    sdk: str | None = None
    sdk_version: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    parent_agent_id: str | None = None


class _Usage(msgspec.Struct, kw_only=True):
    """`UsageRecorded` to all who read it; iterations and operations are rare and left to the contract."""

    type: ClassVar[str] = UsageRecorded.type

    id: Any = None
    time: Any = None
    account_id: Any
    project_id: Any = None
    user_id: Any = None
    api_key_id: Any = None
    gateway_instance: str
    surface: str
    streamed: bool
    model_asked: str
    model_served: str | None = None
    route: str
    outcome: Outcome
    basis: Basis
    http_status: int | None = None
    error_type: str | None = None
    counts: _Counts = msgspec.field(default_factory=_Counts)
    iterations: tuple[()] = ()
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    admitted_at: Instant
    first_byte_at: Instant | None = None
    ended_at: Instant
    price_book_version: int
    plan_id: str | None = None
    plan_version: int | None = None
    markup_bps: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    allocation: tuple[_Allocation, ...] = ()
    attempts: int = 1
    upstream_request_id: str | None = None
    credential_id: str | None = None
    basis_reason: str | None = None
    operation: None = None
    client: _Client | None = None
    near_limit: bool = False


class _Record(msgspec.Struct):
    specversion: Literal["1.0"]
    type: Literal["gateway.usage-recorded.v1"]
    id: str
    time: Instant
    data: _Usage
    source: str = ""


_decode: Final = msgspec.json.Decoder(_Record).decode


def decode_usage(value: bytes | None) -> Envelope:
    """What `contracts.event.decode` makes of a usage event, and its refusals."""
    if value is not None:
        try:
            return _plain(_decode(value), orjson.loads(value))
        except (KeyError, TypeError, ValueError, AttributeError):
            # Broken, refused, or merely written in another way: the contract knows.
            pass
    return decode(value, TYPES)


def _plain(record: _Record, envelope: dict[str, Any]) -> Envelope:
    data, event = envelope["data"], record.data
    _check_instants(envelope["time"], data["admitted_at"], data["ended_at"], data.get("first_byte_at"))
    event.id, event.time, event.account_id = _id(record.id), record.time, _id(event.account_id)
    if event.project_id is not None:
        event.project_id = _id(event.project_id)
    if event.user_id is not None:
        event.user_id = _id(event.user_id)
    if event.api_key_id is not None:
        event.api_key_id = _id(event.api_key_id)
    for part in event.allocation:
        part.slice_id, part.amount = _id(part.slice_id), _amount(part.amount)
    return Envelope(cast("UsageRecorded", event), record.source, data, data_digest(data))


def _amount(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 19:  # what surely fits 64 bits
        return int(text)
    raise ValueError("not a plain amount")


def _id(text: str) -> UUID:
    # The driver's reader passes over hyphens wherever they stand.
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":  # a UUID's text
        return cast("UUID", _uuid(text))
    raise ValueError("not a plain UUID")


def _check_instants(*texts: str | None) -> None:
    """Whole seconds or microseconds, UTC: beyond that the two readers need not agree."""
    for text in texts:
        if text is not None and not (len(text) in {20, 27} and text[-1] == "Z" and text[10] == "T"):
            raise ValueError("not a plain instant")
