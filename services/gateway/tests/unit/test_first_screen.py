"""`/me`: one answer out of auth and ledger, which says what is missing while the ledger does not answer."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import orjson
import pytest

from gateway.entrypoints.alias_reading import AliasReading
from gateway.entrypoints.first_screen import Screens
from gateway.identity.credential import Credential
from kit.clock import ManualClock
from kit.errors import UnauthenticatedError, UnavailableError
from kit.tokens import Caller

NOW = datetime(2026, 12, 21, 12, tzinfo=UTC)
ACCOUNT, USER = str(uuid4()), str(uuid4())
USER_ANSWER = {
    "id": USER,
    "email": "ada@example.com",
    "email_verified": True,
    "operator": False,
    "second_factor": False,
    "deletion_due_at": None,
    "created_at": "2026-11-01T00:00:00Z",
}
WHO = {
    "user": USER_ANSWER,
    "accounts": [],
    "account_id": ACCOUNT,
    "role": "owner",
    "session_id": str(uuid4()),
    "api_key_id": None,
    "project_id": None,
    "impersonated": False,
}
TOKENS = {"input": 10, "output": 5, "cache_write_5m": 0, "cache_write_1h": 0, "cache_read": 0}
USAGE = {"items": [{"model": "m", "calls": 2, "tokens": TOKENS, "price_credits": "0.25"}], "next_cursor": None}
ANSWERS = {
    "/auth/me": WHO,
    "/ledger/balance": {"available_credits": "4.75", "debt_credits": "0", "plan": "free", "grants": [], "as_of": "x"},
    "/ledger/usage": USAGE,
    "/ledger/onboarding": {"stage": "trial", "plan": "free"},
}


@dataclass
class Answer:
    status: int
    body: bytes

    async def parts(self) -> Any:
        yield self.body


@dataclass
class Away:
    """Both services over HTTP; `down` and `slow` are paths that do not answer."""

    down: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    status: int = 200
    asked: list[str] = field(default_factory=list)

    async def ask(self, _method: str, url: str, *, headers: Any, body: bytes, bounds: Any) -> Answer:
        path = urlsplit(url).path
        self.asked.append(path)
        assert dict(headers)[b"authorization"] == b"Bearer the-token"
        if path.startswith(self.down):
            raise UnavailableError("This part of the service does not answer; try again.")
        if path.startswith(self.slow):
            await asyncio.sleep(30)
        return Answer(self.status, orjson.dumps(ANSWERS[path]))


def screens(away: Away) -> Screens:
    reading = AliasReading(away, "http://ledger", ManualClock(NOW))  # type: ignore[arg-type]  # answers alike
    return Screens(away, "http://auth", "http://ledger", reading, patience_s=0.05)  # type: ignore[arg-type]  # the same


def credential(role: str = "owner") -> Credential:

    caller = Caller(
        user_id=UUID(USER),
        account_id=UUID(ACCOUNT),
        role=role,
        operator=False,
        session_id=None,
        api_key_id=None,
        project_id=None,
        plan="from the token",
        scopes=(),
        expires_at=NOW + timedelta(minutes=5),
    )
    return Credential(caller, "the-token")


async def test_one_answer_has_all_that_a_first_screen_shows() -> None:
    away = Away()

    screen = await screens(away).of(credential())

    assert (screen.user.email, str(screen.account_id), screen.plan, screen.balance) == (
        "ada@example.com",
        ACCOUNT,
        "free",
        "4.75",
    )
    assert screen.usage is not None
    assert screen.period is not None
    assert (screen.usage.requests, screen.usage.tokens.total, screen.usage.charge) == (2, 15, "0.25")
    assert (screen.period.start, screen.period.end) == (
        datetime(2026, 12, 1, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert (screen.onboarding, screen.missing) == ("trial", [])


@pytest.mark.parametrize("away", [Away(down=("/ledger",)), Away(slow=("/ledger",))], ids=["down", "slow"])
async def test_without_the_ledger_the_answer_says_what_is_missing(away: Away) -> None:
    screen = await screens(away).of(credential())

    assert (str(screen.user.id), screen.plan) == (USER, "from the token")
    assert (screen.balance, screen.usage, screen.period, screen.onboarding) == (None, None, None, None)
    assert screen.missing == ["balance", "onboarding", "period", "usage"]


async def test_one_part_that_is_away_does_not_take_the_others_along() -> None:
    screen = await screens(Away(down=("/ledger/onboarding",))).of(credential())

    assert (screen.balance, screen.missing) == ("4.75", ["onboarding"])


async def test_a_balance_that_is_not_theirs_to_see_is_not_missing() -> None:
    whole, broken = Away(), Away(down=("/ledger",))

    seen, missed = await screens(whole).of(credential("user")), await screens(broken).of(credential("user"))

    assert "/ledger/balance" not in whole.asked
    assert (seen.balance, seen.missing, missed.missing) == (None, [], ["onboarding", "period", "usage"])


async def test_without_auth_there_is_no_screen() -> None:
    with pytest.raises(UnavailableError):
        await screens(Away(down=("/auth",))).of(credential())
    with pytest.raises(UnauthenticatedError):
        await screens(Away(status=401)).of(credential())
