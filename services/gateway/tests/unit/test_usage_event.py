"""The event that the call path makes by hand is the contract's own, field by field (money.md 12, 14)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.event import decode
from contracts.gateway import Allocation as BookedAllocation
from contracts.gateway import ClientInfo, Counts, IterationCounts, Operation, UsageRecorded
from contracts.money import Unit
from gateway.admission.types import Admitted, Allocation, Amounts
from gateway.usage.client import ClientParts
from gateway.usage.ending import Ending, Progress
from gateway.usage.event import CallFacts, caller_part, orphan_event, usage_event
from rating import Iteration, TokenCounts

CALL = UUID("0199f3a0-0000-7000-8000-00000000000c")
ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

text = st.text(st.characters(codec="utf-8"), max_size=20)
maybe_text = st.none() | text
maybe_uuid = st.none() | st.uuids()
number = st.integers(0, 10**9)
instant = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
counts = st.builds(TokenCounts, **dict.fromkeys(Counts.model_fields, number))
allocations = st.lists(
    st.builds(Allocation, st.uuids().map(str), st.sampled_from([str(unit) for unit in Unit]), st.integers(0, 2**62)),
    max_size=3,
).map(tuple)
operations = st.none() | st.builds(
    Operation, name=text, quantity=st.integers(0, 2**62), unit=text, idempotency_key=maybe_text, body_sha256=maybe_text
)
headers = st.lists(
    st.tuples(st.sampled_from([b"user-agent", b"x-claude-code-session-id", b"x-stainless-lang"]), st.binary(max_size=9))
)


@st.composite
def known(draw):
    """All that is known at admission, as the call path hands it in."""
    return {
        "caller": {name: draw(maybe_uuid) for name in ("project_id", "user_id", "api_key_id")},
        "surface": draw(text),
        "streamed": draw(st.booleans()),
        "model_asked": draw(text),
        "price_book_version": draw(number),
        "near_limit": draw(st.booleans()),
        "operation": draw(operations),
        "client": ClientParts().of(draw(headers)),
        "plan_id": draw(maybe_text),
        "plan_version": draw(st.none() | number),
        "markup_bps": draw(st.integers(0, 1_000_000)),
        "allocation": draw(allocations),
        "admitted_at": draw(instant),
    }


def facts_of(said) -> CallFacts:
    taken = ("surface", "streamed", "model_asked", "price_book_version", "near_limit", "operation", "client")
    part = caller_part(
        ACCOUNT,
        said["caller"]["project_id"],
        user_id=said["caller"]["user_id"],
        api_key_id=said["caller"]["api_key_id"],
    )
    return CallFacts(part, account_id=ACCOUNT, **{name: said[name] for name in taken})


def booked(said, **more) -> UsageRecorded:
    """The same by the contract's model."""
    client = orjson.loads(said["client"])
    taken = ("surface", "streamed", "model_asked", "price_book_version", "near_limit", "operation", "admitted_at")
    return UsageRecorded(
        id=CALL,
        account_id=ACCOUNT,
        **said["caller"],
        **{name: said[name] for name in (*taken, "plan_id", "plan_version", "markup_bps")},
        client=None if client is None else ClientInfo(**client),
        allocation=[
            BookedAllocation(slice_id=UUID(one.slice_id), unit=Unit(one.unit), amount=one.amount)
            for one in said["allocation"]
        ],
        **more,
    )


@given(
    said=known(),
    ended_at=instant,
    first_byte_at=st.none() | instant,
    counted=counts,
    iterations=st.lists(st.builds(Iteration, text, counts), max_size=2).map(tuple),
    words=st.fixed_dictionaries(dict.fromkeys(("model_served", "service_tier", "inference_geo", "speed"), maybe_text)),
    route=text,
    credential_id=maybe_text,
    attempts=number,
    status=st.none() | st.integers(100, 599),
    upstream_request_id=maybe_text,
    basis_reason=maybe_text,
    error_type=maybe_text,
)
def test_an_event_says_exactly_what_the_contract_says(  # one per thing known at the end
    said, ended_at, first_byte_at, counted, iterations, words, route, credential_id, attempts, status,
    upstream_request_id, basis_reason, error_type,
):  # fmt: skip
    admitted = Admitted(
        call_id=CALL,
        account_id=ACCOUNT,
        amounts=Amounts(),
        **{name: said[name] for name in ("admitted_at", "allocation", "plan_id", "plan_version", "markup_bps")},
    )
    ending = Ending("completed", "provider", counts=counted, iterations=iterations, error_type=error_type, **words)
    progress = Progress(status=status, upstream_request_id=upstream_request_id)
    more = {
        "first_byte_at": first_byte_at,
        "ended_at": ended_at,
        "route": route,
        "credential_id": credential_id,
        "attempts": attempts,
        "basis_reason": basis_reason,
    }

    value = usage_event(facts_of(said), admitted, ending, progress, instance="g-1", **more)

    event = booked(
        said,
        time=ended_at,
        gateway_instance="g-1",
        outcome="completed",
        basis="provider",
        http_status=status,
        upstream_request_id=upstream_request_id,
        error_type=error_type,
        counts=Counts(**{name: getattr(counted, name) for name in Counts.model_fields}),
        iterations=[
            IterationCounts(model=one.model, counts={name: getattr(one.counts, name) for name in Counts.model_fields})
            for one in iterations
        ],
        **words,
        **more,
    )
    assert orjson.loads(value) == orjson.loads(event.encode("gateway"))
    assert decode(value, {UsageRecorded.type: UsageRecorded}).event == event


@given(said=known())
def test_an_orphan_is_made_of_the_report_alone_and_names_the_instance_that_admitted(said):
    report = facts_of(said).report(
        instance="g-admitting",
        route="anthropic",
        credential_id="main",
        plan_id=said["plan_id"],
        plan_version=said["plan_version"],
        markup_bps=said["markup_bps"],
    )

    made = [
        orphan_event(
            report,
            account_id=ACCOUNT,
            call_id=CALL,
            allocation=said["allocation"],
            admitted_at=said["admitted_at"],
            instance=sweeping,
        )
        for sweeping in ("g-2", "g-3")
    ]

    event = booked(
        said,
        time=said["admitted_at"],
        ended_at=said["admitted_at"],
        gateway_instance="g-admitting",
        route="anthropic",
        credential_id="main",
        outcome="orphaned",
        basis="none",
    )
    assert made[0] == made[1]
    assert orjson.loads(made[0]) == orjson.loads(event.encode("gateway"))


@pytest.mark.parametrize("report", [b"{}", b"[]", b"nonsense"])
def test_a_report_that_cannot_be_read_is_a_value_error(report):
    with pytest.raises(ValueError, match=r".+"):
        orphan_event(
            report, account_id=ACCOUNT, call_id=CALL, allocation=(), admitted_at=NOON + timedelta(0), instance="g"
        )


@pytest.mark.parametrize(
    ("agent", "sdk", "version"),
    [
        (b"Anthropic/Python 2.11.0", "Anthropic/Python", "2.11.0"),
        (b"AsyncAnthropic/Python 2.11.0", "AsyncAnthropic/Python", "2.11.0"),
        (b"OpenAI/JS 6.1.0", "OpenAI/JS", "6.1.0"),
        (b"claude-cli/2.0.1 (external, cli)", "claude-cli", "2.0.1"),
        (b"python-httpx/0.28.1", "python-httpx", "0.28.1"),
    ],
)
def test_a_client_is_named_by_its_user_agent(agent, sdk, version):
    said = orjson.loads(ClientParts().of([(b"host", b"x"), (b"user-agent", agent)]))

    assert (said["sdk"], said["sdk_version"]) == (sdk, version)


def test_ids_of_claude_code_are_kept_and_what_is_too_long_or_unprintable_is_not():
    said = orjson.loads(
        ClientParts().of(
            [
                (b"x-claude-code-session-id", b"session-1"),
                (b"x-claude-code-agent-id", b"a" * 129),
                (b"x-claude-code-parent-agent-id", b"line\x07bell"),
            ]
        )
    )

    assert (said["session_id"], said["agent_id"], said["parent_agent_id"]) == ("session-1", None, None)
    assert ClientParts().of([(b"user-agent", b"\xff\xfe")]) == b"null"
