"""Where an account stands on its way to being a customer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from contracts.money import Unit
from ledger.domain.account import Account
from ledger.domain.grants import Grant, GrantSource
from ledger.domain.onboarding import stage_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def account(**changes: object) -> Account:
    made = Account(uuid4(), "open", 1, 0, "trial", 1, None, NOW, 0, 0, 0, 0, [])
    return replace(made, **changes)  # type: ignore[arg-type]  # fields by name


def grant(source: GrantSource, *, remaining: int = 1, days: int = 1) -> Grant:
    return Grant(
        id=uuid4(),
        account_id=uuid4(),
        source=source,
        unit=Unit.CREDIT,
        amount=1,
        remaining=remaining,
        priority=1,
        starts_at=NOW - timedelta(days=9),
        expires_at=NOW + timedelta(days=days),
        rule="r",
        period="once",
        payment_id=None,
        paid_minor=None,
        created_at=NOW,
    )


TRIAL, BOUGHT = GrantSource.TRIAL, GrantSource.BUNDLE


@pytest.mark.parametrize(
    ("standing", "grants", "room", "stage"),
    [
        (account(plan_id=None), [], False, "needs_plan"),
        (account(activated_at=None), [], False, "needs_plan"),
        (account(), [grant(TRIAL)], False, "trial"),
        (account(), [grant(TRIAL, days=-1)], False, "trial_expired"),
        (account(), [grant(TRIAL, remaining=0)], False, "trial_expired"),
        (account(), [grant(TRIAL, days=-1), grant(BOUGHT)], False, "active"),
        (account(), [grant(TRIAL), grant(BOUGHT)], False, "active"),
        (account(), [grant(BOUGHT, remaining=0)], False, "out_of_credit"),
        (account(), [grant(BOUGHT, remaining=0)], True, "active"),
        (account(), [], False, "out_of_credit"),
        (account(state="closed"), [grant(BOUGHT)], False, "closed"),
        (account(frozen=True), [grant(BOUGHT)], False, "frozen"),
    ],
)
def test_the_stage_follows_from_plan_grants_and_state(
    *, standing: Account, grants: list[Grant], room: bool, stage: str
) -> None:
    assert stage_of(standing, grants, has_overage_room=room, now=NOW) == stage
