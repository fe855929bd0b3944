"""The usage event: what is known at admission, and the one terminal fact made of it (money.md 12).

A paid call makes its event once, in microseconds: what calls that are alike share is JSON already and is copied, and
only what is the call's own is made anew. `tests/unit/test_usage_event.py` holds the bytes against the contract's model.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from contracts.gateway import Counts, Operation, UsageRecorded
from gateway.admission.types import Admitted, Allocation
from gateway.usage.client import NO_CLIENT
from gateway.usage.ending import Ending, Progress
from kit.tokens import Caller

_MOST_CALLERS: Final = 1 << 16
_MOST_DESCRIPTIONS: Final = 1 << 13
_MOST_ENDINGS: Final = 8
_ID: Final = b'{"specversion":"1.0","id":'
_SOURCE: Final = f',"source":"faregate/gateway","type":"{UsageRecorded.type}","subject":"%s","time":'
_DATA: Final = b',"datacontenttype":"application/json","data":{'
_COUNTS: Final = (
    b'"counts":{"input_tokens":%d,"cache_write_5m_tokens":%d,"cache_write_1h_tokens":%d,"cache_read_tokens":%d,'
    b'"output_tokens":%d,"web_search_requests":%d,"web_fetch_requests":%d,"code_execution_requests":%d}'
)
_NO_COUNTS: Final = orjson.dumps(Counts().model_dump(mode="json"))


class CallerParts:
    """The caller's fields of an event as JSON, once per caller; credentials hand out the same object again."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Caller, bytes]] = {}

    def of(self, caller: Caller) -> bytes:
        made = self._made.get(id(caller))
        # The object is kept beside its part, so that its id cannot become another's.
        return made[1] if made is not None else self._remember(caller)

    def _remember(self, caller: Caller) -> bytes:
        if len(self._made) >= _MOST_CALLERS:
            self._made.clear()
        part = caller_part(caller.account_id, caller.project_id, user_id=caller.user_id, api_key_id=caller.api_key_id)
        self._made[id(caller)] = caller, part
        return part


def caller_part(account_id: UUID, project_id: UUID | None, *, user_id: UUID | None, api_key_id: UUID | None) -> bytes:
    """`"account_id":…,…` without braces."""
    fields = {"account_id": account_id, "project_id": project_id, "user_id": user_id, "api_key_id": api_key_id}
    return orjson.dumps(fields)[1:-1]


class CallFacts:
    """What an event needs that is known before the call; `fields` is JSON without braces."""

    __slots__ = ("account_id", "endings", "fields", "near_limit", "source")

    def __init__(  # noqa: PLR0913  # one per field of the event
        self,
        caller: bytes,
        *,
        account_id: UUID,
        surface: str,
        streamed: bool,
        model_asked: str,
        price_book_version: int,
        client: bytes = NO_CLIENT,
        near_limit: bool = False,
        operation: Operation | None = None,
    ) -> None:
        """`caller` and `client` are what `CallerParts` and `ClientParts` say."""
        self.account_id = account_id
        self.near_limit = near_limit
        said = {
            "surface": surface,
            "streamed": streamed,
            "model_asked": model_asked,
            "price_book_version": price_book_version,
            "client": orjson.Fragment(client),
            "operation": None if operation is None else operation.model_dump(mode="json"),
            "near_limit": near_limit,
        }
        self.fields = caller + b"," + orjson.dumps(said)[1:-1]
        self.source = (_SOURCE % account_id).encode()
        # What the endings of alike calls say, by all that it is made of.
        self.endings: dict[tuple[object, ...], bytes] = {}

    def report(
        self,
        *,
        instance: str,
        route: str,
        credential_id: str | None = None,
        plan_id: str | None = None,
        plan_version: int | None = None,
        markup_bps: int = 0,
    ) -> bytes:
        """All that an `orphaned` event needs besides id, time and allocation; kept in journal and hold."""
        said = {
            "gateway_instance": instance,
            "route": route,
            "credential_id": credential_id,
            "plan_id": plan_id,
            "plan_version": plan_version,
            "markup_bps": markup_bps,
        }
        return b"{" + self.fields + b"," + orjson.dumps(said)[1:]


class CallDescriptions:
    """The facts and reports of calls that are alike: a caller asks for the same again and again."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[CallFacts, bytes]] = {}

    def of(  # noqa: PLR0913  # one per field
        self,
        caller: bytes,
        client: bytes,
        *,
        account_id: UUID,
        surface: str,
        streamed: bool,
        model_asked: str,
        price_book_version: int,
        near_limit: bool,
        instance: str,
        route: str,
        credential_id: str,
        plan_id: str | None,
        plan_version: int | None,
        markup_bps: int,
    ) -> tuple[CallFacts, bytes]:
        """What the call's event says, and its `CallFacts.report`; `caller` holds the account."""
        key = (
            caller, client, surface, streamed, model_asked, price_book_version, near_limit, instance, route,
            credential_id, plan_id, plan_version, markup_bps,
        )  # fmt: skip
        made = self._made.get(key)
        if made is not None:
            return made
        facts = CallFacts(
            caller,
            account_id=account_id,
            surface=surface,
            streamed=streamed,
            model_asked=model_asked,
            price_book_version=price_book_version,
            client=client,
            near_limit=near_limit,
        )
        report = facts.report(
            instance=instance,
            route=route,
            credential_id=credential_id,
            plan_id=plan_id,
            plan_version=plan_version,
            markup_bps=markup_bps,
        )
        if len(self._made) >= _MOST_DESCRIPTIONS:
            self._made.clear()
        self._made[key] = facts, report
        return facts, report


def usage_event(  # noqa: PLR0913  # one per thing that is known at a call's end
    facts: CallFacts,
    admitted: Admitted,
    ending: Ending,
    progress: Progress,
    *,
    instance: str,
    ended_at: datetime,
    route: str,
    credential_id: str | None = None,
    attempts: int = 1,
    first_byte_at: datetime | None = None,
    basis_reason: str | None = None,
) -> bytes:
    """The event of an ended call as Kafka gets it."""
    key = (
        instance, route, credential_id, admitted.plan_id, admitted.plan_version, admitted.markup_bps, ending.outcome,
        ending.basis, basis_reason, ending.model_served, ending.service_tier, ending.inference_geo, ending.speed,
        ending.error_type, progress.status, attempts,
    )  # fmt: skip
    told = facts.endings.get(key) or _remember(facts, key)
    # A list costs less than its items one by one; only the last of them may hold a comma.
    call_id, time, admitted_at, began_at, request_id = orjson.dumps(
        (admitted.call_id, ended_at, admitted.admitted_at, first_byte_at, progress.upstream_request_id),
        option=orjson.OPT_UTC_Z,
    )[1:-1].split(b",", 4)
    counts = ending.counts
    return b"".join(
        (
            _ID, call_id, facts.source, time, _DATA, facts.fields, told,
            _COUNTS % (
                counts.input_tokens, counts.cache_write_5m_tokens, counts.cache_write_1h_tokens,
                counts.cache_read_tokens, counts.output_tokens, counts.web_search_requests, counts.web_fetch_requests,
                counts.code_execution_requests,
            ),
            b',"iterations":', orjson.dumps(ending.iterations) if ending.iterations else b"[]",
            b',"allocation":', allocation_bytes(admitted.allocation),
            b',"admitted_at":', admitted_at, b',"first_byte_at":', began_at, b',"ended_at":', time,
            b',"upstream_request_id":', request_id, b"}}",
        )
    )  # fmt: skip


def _remember(facts: CallFacts, key: tuple[object, ...]) -> bytes:
    """The fields of an ending that calls share, between two commas."""
    names = (
        "gateway_instance", "route", "credential_id", "plan_id", "plan_version", "markup_bps", "outcome", "basis",
        "basis_reason", "model_served", "service_tier", "inference_geo", "speed", "error_type", "http_status",
        "attempts",
    )  # fmt: skip
    if len(facts.endings) >= _MOST_ENDINGS:
        facts.endings.clear()
    made = facts.endings[key] = b"," + orjson.dumps(dict(zip(names, key, strict=True)))[1:-1] + b","
    return made


def orphan_event(
    report: bytes,
    *,
    account_id: UUID,
    call_id: UUID,
    allocation: Iterable[Allocation],
    admitted_at: datetime,
    instance: str,
) -> bytes:
    """The provisional event of a call whose end nobody reported.

    Its times are the admission's: whoever sweeps, and however often, states the same bytes. `instance` is named where
    the report names none; raises `ValueError` for a report that cannot be read.
    """
    known = orjson.loads(report)
    if not isinstance(known, dict) or not {"surface", "model_asked"} <= known.keys():
        raise ValueError("not a call's report")
    said = {
        "gateway_instance": instance,
        "project_id": None,
        "user_id": None,
        "api_key_id": None,
        "credential_id": None,
        "plan_id": None,
        "plan_version": None,
        "client": None,
        "operation": None,
        "near_limit": False,
        **known,
        "account_id": account_id,
        "outcome": "orphaned",
        "basis": "none",
        "http_status": None,
        "error_type": None,
        "model_served": None,
        "counts": orjson.Fragment(_NO_COUNTS),
        "iterations": (),
        "service_tier": None,
        "inference_geo": None,
        "speed": None,
        "admitted_at": admitted_at,
        "first_byte_at": None,
        "ended_at": admitted_at,
        "allocation": orjson.Fragment(allocation_bytes(allocation)),
        "attempts": 1,
        "upstream_request_id": None,
        "basis_reason": None,
    }
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": call_id,
            "source": "faregate/gateway",
            "type": UsageRecorded.type,
            "subject": account_id,
            "time": admitted_at,
            "datacontenttype": "application/json",
            "data": said,
        },
        option=orjson.OPT_UTC_Z,
    )


def allocation_bytes(allocation: Iterable[Allocation]) -> bytes:
    """As JSON; ids and units are plain ASCII."""
    parts = [f'{{"slice_id":"{one.slice_id}","unit":"{one.unit}","amount":"{one.amount}"}}' for one in allocation]
    return f"[{','.join(parts)}]".encode()
