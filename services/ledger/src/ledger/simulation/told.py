"""The steps as the ledger hears of them: events as other services send them."""

import re
from typing import Final
from uuid import UUID

from contracts.auth import AccountActivated, AccountCreated
from contracts.billing import (
    AccountSettingsChanged,
    Allowance,
    PaymentReversed,
    PaymentSettled,
    PlanPublished,
    SubscriptionChanged,
)
from contracts.event import Event
from contracts.gateway import Counts, UsageRecorded
from contracts.money import Unit
from contracts.terms import OverageTerms, Terms, TokenClass, TokenWeight
from kit.ids import fact_id
from ledger.simulation import steps
from ledger.simulation.world import STARTS

NANO_PER_PRICE: Final = 1_000
"""A price is in credits per million tokens: a thousand nano-credits per token."""
VERSION: Final = 1
OUTPUT: Final[TokenClass] = "output"


def plan(terms: steps.Plan) -> PlanPublished:
    """A plan as billing publishes it."""
    roll_over = "none" if terms.roll_over_cap is None else "capped"
    allowances = [
        Allowance(
            rule="monthly",
            unit=Unit(terms.unit),
            amount=terms.amount,
            roll_over=roll_over,
            roll_over_cap=terms.roll_over_cap,
        )
    ]
    if terms.trial_nano:
        trial = Allowance(
            rule="trial", unit=Unit.CREDIT, amount=terms.trial_nano, valid_days=terms.trial_days, priority=50
        )
        allowances.append(trial)
    return PlanPublished(
        id=fact_id("plan", terms.plan_id, VERSION),
        time=STARTS,
        plan_id=terms.plan_id,
        version=VERSION,
        name=terms.plan_id,
        default=terms.is_free,
        price_minor=terms.price_minor,
        interval="month",
        allowances=tuple(allowances),
        renewal="ledger" if terms.is_free else "subscription",
        terms=_terms(terms),
        effective_at=STARTS,
    )


def _terms(terms: steps.Plan) -> Terms:
    return Terms(
        unit=Unit(terms.unit),
        weights=(TokenWeight(token_class=OUTPUT, hundredths=terms.output_hundredths),),
        request_max_price_nano=terms.request_max_nano,
        overage=OverageTerms(policy=terms.overage, nano_per_1k_tokens=terms.nano_per_1k_tokens),
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
            return _signed_up(account, step)
        case steps.Subscription():
            return [_subscribed(one, step)]
        case steps.Settings():
            return [_set(one, step)]
        case steps.Payment():
            return [_settled(one, step)]
        case steps.Reversal():
            return [_reversed(one, step)]
    return [_usage(one)] if isinstance(one, steps.Call) else []


def _signed_up(account: UUID, step: steps.Step) -> list[Event]:
    created = AccountCreated(
        id=fact_id("created", account), time=step.at, account_id=account, kind="personal", owner_user_id=account
    )
    return [created, AccountActivated(id=fact_id("activated", account), time=step.at, account_id=account)]


def _subscribed(one: steps.Subscription, step: steps.Step) -> SubscriptionChanged:
    return SubscriptionChanged(
        id=fact_id("subscription", one.subscription_id, one.version),
        time=step.at,
        account_id=one.account,
        subscription_id=one.subscription_id,
        version=one.version,
        plan_id=one.plan_id,
        plan_version=VERSION,
        status="active" if one.is_active else "canceled",
        current_period_start=one.period[0],
        current_period_end=one.period[1],
    )


def _set(one: steps.Settings, step: steps.Step) -> AccountSettingsChanged:
    return AccountSettingsChanged(
        id=fact_id("settings", one.account, one.version),
        time=step.at,
        account_id=one.account,
        version=one.version,
        overage_ceiling_nano=one.ceiling_nano,
        has_payment_method=one.has_payment_method,
    )


def _settled(one: steps.Payment, step: steps.Step) -> PaymentSettled:
    starts, ends = one.period or (None, None)
    return PaymentSettled(
        id=fact_id("settled", one.payment_id),
        time=step.at,
        account_id=one.account,
        payment_id=one.payment_id,
        kind="subscription" if one.period else "bundle",
        offer_id="credits",
        plan_id=one.plan_id,
        grant_unit=Unit(one.unit),
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
        plan_id=one.plan_id,
        plan_version=VERSION,
        markup_bps=one.markup_bps,
    )
