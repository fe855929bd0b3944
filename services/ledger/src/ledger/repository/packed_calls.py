"""Charges and details of calls, packed for COPY; what has a fixed width stands first."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from struct import Struct
from typing import Any, Final

import orjson

from contracts.event import Part
from contracts.gateway import Allocation, Counts
from ledger.domain.pricing import RatedCall
from ledger.repository.binary import instant, integer, jsonb, known_text, micros, text, uuid

PACKED_CHARGE: Final = (
    "id",
    "account_id",
    "price_nano",
    "cost_nano",
    "price_book_version",
    "markup_bps",
    "admitted_at",
    "booked_at",
    "digest",
    "outcome",
    "unit",
    "model",
    "plan_id",
    "plan_version",
)
_pack_charge: Final = Struct(">hi16si16siqiqiiiiiqiqi32s").pack
_UNIT: Final = text("credit")

_COUNTS: Final = tuple(Counts.model_fields)
_OFTEN: Final = (
    "gateway_instance",
    "surface",
    "streamed",
    "model_asked",
    "model_served",
    "route",
    "basis",
    "http_status",
    "error_type",
    "service_tier",
    "inference_geo",
    "speed",
)
"""What many calls of a batch say alike."""
_WIDE: Final = ("id", "account_id", "admitted_at", "ended_at", *_COUNTS, "attempts", "first_seq", "last_seq")
_IDS: Final = ("project_id", "user_id", "api_key_id")
_REST: Final = ("outcome", *_IDS, "first_byte_at", "upstream_request_id", "iterations", "allocation", "operation")
PACKED_DETAIL: Final = (*_WIDE, *_OFTEN, *_REST)
_WIDTH: Final = len(PACKED_DETAIL)
_pack_detail: Final = Struct(f">hi16si16siqiq{'ii' * (len(_COUNTS) + 1)}iqiq").pack
_often_of = attrgetter(*_OFTEN)


def packed_charges(calls: Sequence[RatedCall], *, now: datetime) -> list[bytes]:
    """Rows of `PACKED_CHARGE`."""
    booked, width = micros(now), len(PACKED_CHARGE)
    rows: list[bytes] = []
    for call in calls:
        event = call.event
        account, admitted = event.account_id.bytes, micros(event.admitted_at)
        rows += (
            _pack_charge(
                width, 16, event.id.bytes, 16, account, 8, call.price_nano, 8, call.cost_nano,
                4, call.book_version, 4, event.markup_bps, 8, admitted, 8, booked, 32, call.digest,
            ),
            known_text(call.outcome),
            _UNIT,
            known_text(call.model),
            known_text(event.plan_id),
            integer(event.plan_version),
        )  # fmt: skip
    return rows


def packed_detail(call: RatedCall, seqs: tuple[int, int]) -> bytes:
    """A row of `PACKED_DETAIL`."""
    event = call.event
    counts, iterations, allocation = event.counts, event.iterations, event.allocation
    return b"".join((
        _pack_detail(
            _WIDTH, 16, event.id.bytes, 16, event.account_id.bytes,
            8, micros(event.admitted_at), 8, micros(event.ended_at),
            4, counts.input_tokens, 4, counts.cache_write_5m_tokens, 4, counts.cache_write_1h_tokens,
            4, counts.cache_read_tokens, 4, counts.output_tokens, 4, counts.web_search_requests,
            4, counts.web_fetch_requests, 4, counts.code_execution_requests, 4, event.attempts, 8, seqs[0], 8, seqs[1],
        ),
        _often(_often_of(event)),
        known_text(call.outcome),
        uuid(event.project_id),
        uuid(event.user_id),
        uuid(event.api_key_id),
        instant(event.first_byte_at),
        text(event.upstream_request_id),
        jsonb(_iterations(iterations) if iterations else None),
        jsonb(_allocation(allocation) if allocation else None),
        jsonb(_operation(call) if event.operation else None),
    ))  # fmt: skip


@lru_cache(maxsize=20_000)
def _often(values: tuple[Any, ...]) -> bytes:
    """The cells of `_OFTEN`."""
    instance, surface, streamed, asked, served, route, basis, http_status, *texts = values
    flag = b"\x00\x00\x00\x01" + bytes([streamed])
    said = map(text, (asked, served, route, basis))
    return b"".join((text(instance), text(surface), flag, *said, integer(http_status), *map(text, texts)))


def _iterations(parts: Sequence[Part]) -> str:
    return orjson.dumps([part.model_dump(mode="json") for part in parts]).decode()


def _allocation(parts: Sequence[Allocation]) -> str:
    shown = [{"slice_id": str(one.slice_id), "unit": one.unit, "amount": str(one.amount)} for one in parts]
    return orjson.dumps(shown).decode()


def _operation(call: RatedCall) -> str:
    operation = call.event.operation
    assert operation is not None
    shown = {**operation.model_dump(mode="json"), "duplicate_of": call.duplicate_of and str(call.duplicate_of)}
    return orjson.dumps(shown).decode()
