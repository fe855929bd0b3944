"""The steps as the ledger hears of them: events as other services send them."""

import re
from typing import Final
from uuid import UUID

from contracts.auth import AccountActivated, AccountCreated
from contracts.billing import Allowance, PaymentReversed, PaymentSettled, PlanPublished
from contracts.event import Event
from contracts.gateway import Counts, UsageRecorded
from contracts.money import Unit
from kit.ids import fact_id
from ledger.simulation import steps
from ledger.simulation.year import STARTS

PLAN_ID: Final = "simulated"
NANO_PER_PRICE: Final = 1_000
"""A price is in credits per million tokens: a thousand nano-credits per token."""


def plan(terms: steps.Terms) -> PlanPublished:
    """Everybody's plan: some credits once, tokens every month, what is left of them moves on up to a cap."""
    trial = Allowance(rule="trial", unit=Unit.CREDIT, amount=terms.trial_nano, valid_days=terms.trial_days, priority=50)
    monthly = Allowance(
        rule="monthly",
        unit=Unit.TOKEN,
        amount=terms.monthly_tokens,
        roll_over="capped",
        roll_over_cap=terms.roll_over_cap,
    )
    return PlanPublished(
        id=fact_id("plan", PLAN_ID, 1),
        time=STARTS,
        plan_id=PLAN_ID,
        version=1,
        name="Simulated",
        default=True,
        allowances=(trial, monthly),
        renewal="ledger",
        effective_at=STARTS,
    )


def price_text(shipped: str, book: steps.PriceBook) -> str:
    """The shipped book's text with the simulated prices of its models."""
    for model, (into, out) in book.rates.items():
        row = ", ".join(
            f'{name} = "{nano / NANO_PER_PRICE}"'
            for name, nano in (
                ("input", into),
                ("cache_write_5m", into),
                ("cache_write_1h", into),
                ("cache_read", into),
                ("output", out),
            )
        )
        pattern = rf"(\[models\.{re.escape(model)}\]\n(?:(?!\[models\.).*\n)*?prices = \[\n)(?:.*\n)*?(\]\n)"
        shipped, count = re.subn(pattern, rf"\g<1>  {{ {row} }},\n\g<2>", shipped, count=1)
        assert count == 1, model
    return shipped


def events(step: steps.Step) -> list[Event]:
    """What one batch holds."""
    return [event for one in step.happenings for event in _events(one, step)]


def _events(one: steps.Happening, step: steps.Step) -> list[Event]:
    match one:
        case steps.SignUp(account):
            return [
                AccountCreated(
                    id=fact_id("created", account),
                    time=step.at,
                    account_id=account,
                    kind="personal",
                    owner_user_id=account,
                ),
                AccountActivated(id=fact_id("activated", account), time=step.at, account_id=account),
            ]
        case steps.Payment():
            return [_settled(one, step)]
        case steps.Reversal():
            return [_reversed(one, step)]
        case steps.Call():
            return [_usage(one)]
    return []


def _settled(one: steps.Payment, step: steps.Step) -> PaymentSettled:
    starts, ends = one.period or (None, None)
    return PaymentSettled(
        id=fact_id("settled", one.payment_id),
        time=step.at,
        account_id=one.account,
        payment_id=one.payment_id,
        kind="subscription" if one.period else "bundle",
        offer_id="credits",
        plan_id="pro" if one.period else None,
        grant_unit=Unit.CREDIT,
        grant_amount=one.amount,
        paid_minor=one.paid_minor,
        fee_minor=0,
        currency="usd",
        valid_days=one.valid_days,
        period_start=starts,
        period_end=ends,
    )


def _reversed(one: steps.Reversal, step: steps.Step) -> PaymentReversed:
    return PaymentReversed(
        id=fact_id("reversed", one.reversal_id, one.kind),
        time=step.at,
        account_id=one.account,
        payment_id=one.payment_id,
        reversal_id=one.reversal_id,
        kind=one.kind,
        reversed_minor=one.minor,
        paid_minor=one.minor,
        currency="usd",
    )


def _usage(one: steps.Call) -> UsageRecorded:
    return UsageRecorded(
        id=UUID(int=one.call_id.int),
        time=one.admitted_at,
        account_id=one.account,
        gateway_instance="gateway-1",
        surface="/v1/messages",
        streamed=True,
        model_asked=one.model,
        model_served=one.model,
        route="simulated",
        outcome=one.outcome,
        basis="none" if one.outcome == "orphaned" else "provider",
        counts=Counts(input_tokens=one.input_tokens, output_tokens=one.output_tokens),
        admitted_at=one.admitted_at,
        ended_at=one.admitted_at,
        price_book_version=one.version,
        plan_id=PLAN_ID,
        plan_version=1,
        markup_bps=one.markup_bps,
    )
