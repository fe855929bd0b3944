"""What the older clients ask about money, answered by the ledger and told in their words."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from gateway.adapters.services import Bounds, Services
from gateway.entrypoints.alias_schemas import AliasBalance, AliasCurrentUsage, AliasTokens, AliasUsage
from gateway.errors import ModelApiError, unavailable
from gateway.identity.credential import Credential
from gateway.surfaces.refusals import may_read_balance
from kit.clock import Clock

# One row for each model that was used.
_MOST_ROWS: Final = 200
# The ledger knows hours as long as it keeps each call's details, and days for ever.
_HOURS_KEPT: Final = timedelta(days=60)
_MOST_DAYS: Final = timedelta(days=399)
_BOUNDS: Final = Bounds(total_s=10.0, most_bytes=4 << 20)
_CACHED: Final = ("cache_write_5m", "cache_write_1h", "cache_read")


@dataclass(frozen=True, slots=True)
class _Period:
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class AliasReading:
    """Reads with the caller's own token, so that the ledger decides what a role may see."""

    services: Services
    ledger_url: str
    clock: Clock

    async def balance(self, credential: Credential) -> AliasBalance:
        found = await self._ask(credential, "/ledger/balance")
        return AliasBalance(
            balance=found["available_credits"],
            debt=found["debt_credits"],
            currency="USD",
            plan=found["plan"],
            as_of=found["as_of"],
        )

    async def usage(self, credential: Credential) -> AliasUsage:
        return await self._usage(credential, await self._money(credential))

    async def current(self, credential: Credential) -> AliasCurrentUsage:
        money = await self._money(credential)
        usage = await self._usage(credential, money)
        grants = money["grants"] if money else []
        return AliasCurrentUsage(
            **dict(usage),
            plan=money["plan"] if money else credential.caller.plan,
            balance=money["available_credits"] if money else None,
            tokens_used=usage.tokens.total,
            tokens_left=_left(grants, "token", now=self.clock.now()),
            requests_left=_left(grants, "request", now=self.clock.now()),
        )

    async def _money(self, credential: Credential) -> Mapping[str, Any] | None:
        """The account's page; None for a role that may not see it."""
        return await self._ask(credential, "/ledger/balance") if may_read_balance(credential.caller) else None

    async def _usage(self, credential: Credential, money: Mapping[str, Any] | None) -> AliasUsage:
        period = _period(money["grants"] if money else [], now=self.clock.now())
        rows, complete = await self._rows(credential, period)
        tokens: Counter[str] = Counter()
        by_model: Counter[str] = Counter()
        for row in rows:
            tokens.update(row["tokens"])
            by_model[row["model"]] += row["calls"]
        return AliasUsage(
            period_start=period.start,
            period_end=period.end,
            requests=by_model.total(),
            tokens=AliasTokens(
                input=tokens["input"],
                output=tokens["output"],
                cached=sum(tokens[name] for name in _CACHED),
                total=tokens.total(),
            ),
            charge=_plain(sum((Decimal(row["price_credits"]) for row in rows), Decimal(0))),
            by_model=dict(by_model),
            complete=complete,
        )

    async def _rows(self, credential: Credential, period: _Period) -> tuple[list[Mapping[str, Any]], bool]:
        """What each model was used for: by the hour on the period's first day, then by whole days."""
        rows: list[Mapping[str, Any]] = []
        complete = period.end - period.start <= _MOST_DAYS
        for granularity, starts_at, ends_at in _windows(period, now=self.clock.now()):
            wanted = {"from": starts_at.isoformat(), "to": ends_at.isoformat(), "granularity": granularity}
            more = {"group_by": "model", "limit": str(_MOST_ROWS)}
            found = await self._ask(credential, f"/ledger/usage?{urlencode(wanted | more)}")
            rows += found["items"]
            complete = complete and found["next_cursor"] is None
        return rows, complete

    async def _ask(self, credential: Credential, path: str) -> Mapping[str, Any]:
        headers = [(b"authorization", b"Bearer " + credential.access_token.encode()), (b"accept", b"application/json")]
        answer = await self.services.ask("GET", self.ledger_url + path, headers=headers, body=b"", bounds=_BOUNDS)
        body = b"".join([part async for part in answer.parts()])
        if answer.status in {401, 403, 404}:
            raise ModelApiError(answer.status, _detail(body))
        if answer.status != 200:
            raise unavailable("The ledger does not answer; try again.", retry_after_s=2)
        found: Mapping[str, Any] = orjson.loads(body)
        return found


def _period(grants: list[Mapping[str, Any]], *, now: datetime) -> _Period:
    for grant in grants:
        starts, ends = _instant(grant["starts_at"]), _instant(grant["expires_at"])
        if grant["source"] == "plan" and starts is not None and ends is not None and starts <= now < ends:
            return _Period(starts, ends)
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return _Period(first, following)


def _windows(period: _Period, *, now: datetime) -> Iterator[tuple[str, datetime, datetime]]:
    """What the ledger is asked for: it has sums of whole UTC days, and of hours for a while."""
    start, end = max(period.start, period.end - _MOST_DAYS).astimezone(UTC), period.end
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    if start > midnight and now - start < _HOURS_KEPT:
        midnight += timedelta(days=1)
        yield "hour", start, min(midnight, end)
    if midnight < end:
        yield "total", midnight, end


def _left(grants: list[Mapping[str, Any]], unit: str, *, now: datetime) -> int | None:
    """What is left of the grants in a unit that can be used now; None when there is none."""
    valid = [int(grant["remaining"]) for grant in grants if grant["unit"] == unit and _is_valid(grant, now)]
    return sum(valid) if valid else None


def _is_valid(grant: Mapping[str, Any], now: datetime) -> bool:
    starts, ends = _instant(grant["starts_at"]), _instant(grant["expires_at"])
    return (starts is None or starts <= now) and (ends is None or now < ends)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _detail(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "The ledger refuses this."
