"""Balance and usage as the older clients read them, out of what the ledger says."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import orjson
import pytest

from gateway.entrypoints.alias_reading import AliasReading
from gateway.errors import ModelApiError
from gateway.identity.credential import Credential
from kit.clock import ManualClock
from kit.tokens import Caller

NOW = datetime(2026, 12, 21, 12, tzinfo=UTC)


@dataclass
class Answer:
    status: int
    body: bytes

    async def parts(self) -> Any:
        yield self.body[:5]
        yield self.body[5:]


@dataclass
class LedgerOverHttp:
    """Answers in the ledger's shapes, and remembers what it was asked with."""

    grants: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 3
    calls_by_hour: int = 0
    has_more: bool = False
    status: int = 200
    asked: list[tuple[str, dict[bytes, bytes]]] = field(default_factory=list)

    async def ask(self, method: str, url: str, *, headers: Any, body: bytes, bounds: Any) -> Answer:
        self.asked.append((url, dict(headers)))
        if self.status != 200:
            return Answer(self.status, orjson.dumps({"detail": "the ledger's own words"}))
        path = urlsplit(url).path
        return Answer(200, orjson.dumps(self._balance() if path == "/ledger/balance" else self._page(url)))

    def _balance(self) -> dict[str, Any]:
        return {
            "available_credits": "12.5",
            "debt_credits": "0",
            "plan": "pro",
            "grants": self.grants,
            "as_of": NOW,
        }

    def _page(self, url: str) -> dict[str, Any]:
        query = parse_qs(urlsplit(url).query)
        assert query["group_by"] == ["model"]
        calls = self.calls_by_hour if query["granularity"] == ["hour"] else self.calls
        tokens = {"input": 10, "cache_write_5m": 1, "cache_write_1h": 0, "cache_read": 2, "output": 5}
        one = {
            "model": "claude-haiku-5-5",
            "calls": calls,
            "price_credits": str(calls * Decimal("0.0001")),
            "tokens": {name: count * calls for name, count in tokens.items()},
        }
        return {"items": [one] if calls else [], "next_cursor": "more" if self.has_more else None}

    @property
    def windows(self) -> list[tuple[str, datetime, datetime]]:
        """What usage was asked for."""
        asked = [parse_qs(urlsplit(url).query) for url, _ in self.asked if "/ledger/usage" in url]
        return [
            (one["granularity"][0], datetime.fromisoformat(one["from"][0]), datetime.fromisoformat(one["to"][0]))
            for one in asked
        ]


def credential(role: str = "developer") -> Credential:
    caller = Caller(
        user_id=uuid4(),
        account_id=uuid4(),
        role=role,
        operator=False,
        session_id=None,
        api_key_id=None,
        project_id=None,
        plan="pro",
        scopes=(),
        expires_at=NOW,
    )
    return Credential.of(caller, "the-callers-token")


def grant(unit: str, remaining: int, *, age_days: float = 5, days: float = 10) -> dict[str, Any]:
    return {
        "source": "plan",
        "unit": unit,
        "remaining": str(remaining),
        "starts_at": (NOW - timedelta(days=age_days)).isoformat(),
        "expires_at": (NOW + timedelta(days=days)).isoformat(),
    }


def reading(ledger: LedgerOverHttp) -> AliasReading:
    return AliasReading(ledger, "http://ledger.test", ManualClock(NOW))  # type: ignore[arg-type]


async def test_the_balance_is_asked_with_the_callers_own_token() -> None:
    ledger = LedgerOverHttp()

    balance = await reading(ledger).balance(credential())

    assert (balance.balance, balance.debt, balance.currency, balance.plan) == ("12.5", "0", "USD", "pro")
    [(url, headers)] = ledger.asked
    assert url == "http://ledger.test/ledger/balance"
    assert headers[b"authorization"] == b"Bearer the-callers-token"


async def test_usage_is_added_up_by_the_hour_on_the_periods_first_day_and_by_day_after_it() -> None:
    ledger = LedgerOverHttp(grants=[grant("token", 700)], calls=420, calls_by_hour=30)

    usage = await reading(ledger).current(credential())

    assert (usage.requests, usage.complete) == (450, True)
    assert (usage.tokens.input, usage.tokens.output, usage.tokens.cached, usage.tokens.total) == (
        4500,
        2250,
        1350,
        8100,
    )
    assert (usage.charge, usage.by_model) == ("0.045", {"claude-haiku-5-5": 450})
    assert (usage.period_start, usage.period_end) == (NOW - timedelta(days=5), NOW + timedelta(days=10))
    assert (usage.tokens_used, usage.tokens_left, usage.requests_left, usage.balance) == (8100, 700, None, "12.5")
    midnight = datetime(2026, 12, 17, tzinfo=UTC)
    assert ledger.windows == [
        ("hour", usage.period_start, midnight),
        ("total", midnight, usage.period_end),
    ]


async def test_a_period_of_which_no_hours_are_kept_is_counted_by_its_days() -> None:
    ledger = LedgerOverHttp(grants=[grant("token", 700, age_days=200, days=165)])

    usage = await reading(ledger).usage(credential())

    first = datetime(2026, 6, 4, tzinfo=UTC)
    assert ledger.windows == [("total", first, usage.period_end)]


async def test_a_period_within_one_day_is_asked_for_once() -> None:
    ledger = LedgerOverHttp(grants=[grant("request", 7, age_days=0, days=0.25)], calls_by_hour=2)

    usage = await reading(ledger).usage(credential())

    assert usage.requests == 2
    assert ledger.windows == [("hour", usage.period_start, usage.period_end)]


async def test_more_models_than_one_answer_holds_are_said_to_be_more() -> None:
    usage = await reading(LedgerOverHttp(has_more=True)).usage(credential())

    assert (usage.requests, usage.complete) == (3, False)


async def test_without_a_plans_grant_the_period_is_the_month_even_at_its_end_of_year() -> None:
    ledger = LedgerOverHttp()

    usage = await reading(ledger).usage(credential())

    assert usage.period_start == datetime(2026, 12, 1, tzinfo=UTC)
    assert usage.period_end == datetime(2027, 1, 1, tzinfo=UTC)
    assert ledger.windows == [("total", usage.period_start, usage.period_end)]


async def test_a_plain_user_sees_own_calls_and_nobody_asks_for_the_balance() -> None:
    ledger = LedgerOverHttp()

    usage = await reading(ledger).current(credential("user"))

    assert (usage.requests, usage.balance, usage.plan) == (3, None, "pro")
    assert all("/ledger/balance" not in url for url, _ in ledger.asked)


@pytest.mark.parametrize(("status", "told"), [(403, 403), (404, 404), (401, 401), (500, 503), (502, 503)])
async def test_what_the_ledger_refuses_is_told_and_what_fails_is_a_503(status: int, told: int) -> None:
    with pytest.raises(ModelApiError) as refused:
        await reading(LedgerOverHttp(status=status)).balance(credential())

    assert refused.value.status == told
    assert ("own words" in refused.value.message) == (told != 503)
