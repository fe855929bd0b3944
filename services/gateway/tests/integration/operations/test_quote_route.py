"""What a quote says is what admission then does; asking takes nothing."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_operations import Served, serving

from contracts.money import NANO_PER_CREDIT, Unit
from contracts.terms import BudgetState, Limits, OverageTerms, Terms
from gateway.admission.types import Refused
from rating import PriceBook
from sandbox.stack import Stack

HAIKU = "claude-haiku-5-5"


@pytest.fixture
async def served(stack: Stack, book: PriceBook) -> AsyncIterator[Served]:
    async with serving(stack.redis_url, book) as running:
        yield running


def body(**changes: Any) -> dict[str, Any]:
    return {"model": HAIKU, "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}], **changes}


texts = st.text(max_size=300)
bodies = st.fixed_dictionaries(
    {
        "model": st.sampled_from([HAIKU, "claude-sonnet-4-5", "claude-opus-5-5"]),
        "max_tokens": st.integers(0, 64_000),
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.just("user"), "content": texts}), min_size=1, max_size=4
        ),
    },
    optional={
        "stream": st.booleans(),
        "system": st.one_of(
            texts, st.just([{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}])
        ),
        "tools": st.just([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]),
    },
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=bodies, admission=st.sampled_from(["strict", "elastic"]), spaces=st.integers(0, 3))
async def test_what_is_quoted_is_what_admission_then_holds(
    served: Served, asked: dict[str, Any], admission: str, spaces: int
) -> None:
    node = served.nodes[0] if served.nodes else await served.gateway("a")
    customer = served.account(credit=1_000, admission=admission)
    raw = orjson.dumps(asked).replace(b",", b"," + b" " * spaces)

    quoted = await customer.quote(node, raw)
    before = await customer.units(node)
    held = await customer.admit_call(node, raw)
    after = await customer.units(node)

    assert quoted["held"]["credits"] == held
    assert after["credit"]["held"] == held
    assert before["credit"]["held"] == "0", "the quote took nothing"
    if admission == "strict" or not asked.get("stream"):
        assert quoted["worst"] == quoted["held"]
    assert quoted["admitted"] is True


async def test_a_quote_says_who_would_pay_in_the_order_of_paying(served: Served) -> None:
    node = await served.gateway("a")
    customer = served.account(credit=0.0001, terms=Terms(unit=Unit.TOKEN))
    known = served.ledger.snapshots[customer.account_id]
    tokens = known.slices[0].model_copy(update={"slice_id": uuid4(), "unit": Unit.TOKEN, "amount": 600})
    overage = known.slices[0].model_copy(update={"slice_id": uuid4(), "kind": "overage", "amount": NANO_PER_CREDIT})
    slices = (tokens, *known.slices, overage)
    served.ledger.snapshots[customer.account_id] = known.model_copy(update={"slices": slices})

    quoted = await customer.quote(node, orjson.dumps(body()))

    assert [one["payer"] for one in quoted["paid_by"]] == ["token", "credit", "overage"]
    assert quoted["paid_by"][0]["amount"] == "600"
    assert quoted["paid_by"][1]["amount"] == "0.0001"
    assert (quoted["unit"], quoted["short_by"], quoted["admitted"]) == ("token", "0", True)


async def test_one_request_unit_pays_for_a_call_up_to_its_price(served: Served) -> None:
    node = await served.gateway("a")
    customer = served.account(credit=1, terms=Terms(unit=Unit.REQUEST, request_max_price_nano=500_000))
    known = served.ledger.snapshots[customer.account_id]
    units = known.slices[0].model_copy(update={"slice_id": uuid4(), "unit": Unit.REQUEST, "amount": 3})
    served.ledger.snapshots[customer.account_id] = known.model_copy(update={"slices": (units, *known.slices)})

    quoted = await customer.quote(node, orjson.dumps(body()))

    request, credit = quoted["paid_by"]
    assert request == {"payer": "request", "amount": "1"}
    assert float(credit["amount"]) == pytest.approx(float(quoted["worst"]["credits"]) - 0.0005)


@pytest.mark.parametrize(
    ("account", "changes", "reason", "limit"),
    [
        ({"credit": 0}, {}, "credit", "credit"),
        ({"state": "frozen"}, {}, "frozen", None),
        ({"limits": Limits(max_tokens=10)}, {}, "max_tokens", "max_tokens"),
        ({"limits": Limits(max_price_nano=10)}, {}, "max_price", "max_price"),
        ({"limits": Limits(concurrency=0)}, {}, "concurrency", "concurrency"),
        ({"limits": Limits(requests_per_minute=0)}, {}, "requests_per_minute", "requests_per_minute"),
        ({"limits": Limits(tokens_per_minute=1)}, {}, "tokens_per_minute", "tokens_per_minute"),
        ({"models": ("claude-opus-5-5",)}, {}, "model_not_allowed", None),
    ],
)
async def test_a_quote_names_what_admission_would_refuse_for(
    served: Served, account: dict[str, Any], changes: dict[str, Any], reason: str, limit: str | None
) -> None:
    node, customer = await served.gateway("a"), served.account(**account)
    raw = orjson.dumps(body(**changes))

    quoted = await customer.quote(node, raw)
    refused = await customer.decide_call(node, raw)

    assert isinstance(refused, Refused)
    assert quoted["admitted"] is False
    assert (quoted["obstacle"]["reason"], quoted["obstacle"]["limit"]) == (reason, limit)
    assert refused.reason == reason


async def test_a_quote_names_the_budget_and_when_it_comes_anew(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(credit=10)
    resets_at = (served.clock.now() + timedelta(hours=1)).replace(microsecond=0)
    budget = BudgetState(
        scope="member", scope_id=customer.caller.user_id, window="day", limit_nano=10, resets_at=resets_at
    )
    other = BudgetState(scope="member", scope_id=uuid4(), window="day", limit_nano=0)
    known = served.ledger.snapshots[customer.account_id]
    served.ledger.snapshots[customer.account_id] = known.model_copy(update={"budgets": (other, budget)})

    quoted = await customer.quote(node, orjson.dumps(body()))

    assert (quoted["obstacle"]["reason"], quoted["obstacle"]["limit"]) == ("budget", "budget:member:day")
    assert datetime.fromisoformat(quoted["obstacle"]["resets_at"]) == resets_at


async def test_an_operation_is_quoted_like_a_call(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(credit=1)

    quoted = await customer.quote(node, b'{"operation": "image", "quantity": 2}', surface="/v1/usage")
    answer = await customer.post(node, "/v1/usage", {"operation": "image", "quantity": 2}, key="k")

    assert quoted["worst"] == quoted["likely"] == quoted["held"]
    assert quoted["worst"]["credits"] == answer.json()["price_credits"]


@pytest.mark.parametrize(
    ("raw", "surface", "status", "named"),
    [
        (b"{", "/v1/messages", 400, "JSON"),
        (b"{}", "/v1/messages", 400, "max_tokens"),
        (orjson.dumps(body(model="unheard-of")), "/v1/messages", 404, "unheard-of"),
        (b"{}", "/v1/telepathy", 400, "surface"),
        (b'{"operation": "telepathy"}', "/v1/usage", 404, "telepathy"),
        (b'{"operation": "image", "quantity": -1}', "/v1/holds", 400, "quantity"),
    ],
)
async def test_what_the_surface_would_refuse_the_quote_refuses(
    served: Served, raw: bytes, surface: str, status: int, named: str
) -> None:
    node, customer = await served.gateway("a"), served.account()

    refused = await customer.ask_quote(node, raw, surface=surface)

    assert refused.status_code == status
    assert named in refused.json()["error"]["message"]


async def test_a_plain_user_is_quoted_a_price_and_not_who_would_pay(served: Served) -> None:
    node, customer = await served.gateway("a"), served.account(role="user")

    quoted = await customer.quote(node, orjson.dumps(body()))

    assert (quoted["paid_by"], quoted["short_by"]) == (None, None)
    assert float(quoted["worst"]["credits"]) > 0


async def test_past_everything_a_plan_that_warns_still_admits(served: Served) -> None:
    node = await served.gateway("a")
    customer = served.account(credit=0, terms=Terms(overage=OverageTerms(policy="warn")))

    quoted = await customer.quote(node, orjson.dumps(body()))

    assert quoted["admitted"] is True
    assert quoted["short_by"] == quoted["worst"]["credits"]
