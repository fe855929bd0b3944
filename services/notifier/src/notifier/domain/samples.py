"""What each kind of mail is filled with where somebody wants to see it: the preview, and the check of own templates."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from notifier.domain.kinds import KINDS, Audience

_CREDIT: Final = {"unit": "credit", "base": 50_000_000_000, "available": 4_812_500_000, "at": None, "level": "empty"}
_PAYMENT: Final = {"payment_kind": "bundle", "offer": "credits-10", "currency": "usd"}
_CARD: Final = {"card_brand": "visa", "card_last4": "0341"}
_WINDOW: Final = {"window_start": "2026-11-20T00:00:00+00:00", "window_end": "2026-11-21T00:00:00+00:00"}
_VALUES: Final[Mapping[str, Mapping[str, Any]]] = {
    "credit-low-25": _CREDIT,
    "credit-low-10": _CREDIT,
    "credit-low": {**_CREDIT, "level": "percent", "at": "40"},
    "credit-empty": {**_CREDIT, "available": 0},
    "forecast-run-out": {**_CREDIT, "at": "3"},
    "spend-spike": {**_CREDIT, "at": "300"},
    "soft-limit": {**_CREDIT, "unit": "token", "base": 2_000_000, "at": "throttle"},
    "overage-near": {**_CREDIT, "at": "80"},
    "overage-reached": {**_CREDIT, "available": 0},
    "calls-refused": {
        "reason": "credit",
        "model": "claude-sonnet-4-5",
        "required_nano": 4_500_000,
        "available_nano": 1_200,
    },
    "payment-received": {
        **_PAYMENT,
        "unit": "credit",
        "granted": 10_000_000_000,
        "paid_minor": 1000,
        "valid_days": 365,
        "period_end": None,
    },
    "payment-failed": {**_PAYMENT, **_CARD, "amount_minor": 2900, "reason": "insufficient_funds"},
    "payment-action": {**_PAYMENT, **_CARD, "amount_minor": 2900, "reason": "authentication_required"},
    "payment-reversed": {"reversal": "refund", "reversed_minor": 500, "paid_minor": 1000, "currency": "usd"},
    "subscription-changed": {
        "plan": "pro",
        "plan_before": "free",
        "status": "active",
        "cancel_at_period_end": False,
        "period_end": "2026-12-21T12:00:00+00:00",
        "pending_plan": None,
        "pending_before": None,
        "trial_end": None,
        "grace_until": None,
    },
    "trial-ending": {"plan": "pro", "ends_at": "2026-12-05T12:00:00+00:00"},
    "grace-ending": {"plan": "pro", "ends_at": "2026-12-05T12:00:00+00:00"},
    "period-summary": {
        "plan": "pro",
        "unit": "token",
        "period_start": "2026-10-21T12:00:00+00:00",
        "period_end": "2026-11-21T12:00:00+00:00",
        "granted": 2_000_000,
        "used": 1_834_211,
        "rolled_over": 0,
        "expired": 165_789,
        "overage_nano": 0,
        "calls": 1_204,
    },
    "key-created": {
        "key_id": "0199f3a0-0000-7000-8000-00000000000a",
        "made_at": "2026-11-21T12:00:00+00:00",
        "expires_at": None,
    },
    "dlq-grew": {
        "origin": "ledger",
        "topic": "gateway.usage-recorded.v1",
        "partition": 0,
        "offset": 12,
        "reason": "not JSON",
    },
    "reconciliation-gap": {
        **_WINDOW,
        "gateway_instance": "gateway-1",
        "admitted": 12_041,
        "booked": 12_039,
        "parked": 0,
        "set_aside": 1,
        "missing": 1,
    },
    "margin-fell": {
        **_WINDOW,
        "scope": "plan",
        "subject": "pro",
        "revenue_nano": 29_000_000_000,
        "cost_nano": 31_500_000_000,
        "margin_bps": -862,
        "floor_bps": 1500,
    },
    "overage-stranded": {
        "account": "0199f3a0-0000-7000-8000-000000000001",
        "since": "2026-11-20T09:00:00+00:00",
        "amount_nano": 4_120_000_000,
    },
    "provider-down": {
        "provider": "anthropic",
        "route": "anthropic-eu",
        "credential_id": None,
        "reason": "5 of 10 calls failed",
        "gateway_instance": "gateway-1",
        "until": "2026-11-21T12:00:30+00:00",
    },
    "endpoint-disabled": {
        "endpoint": "https://hooks.example.com/faregate",
        "channel": "webhook",
        "reason": "the endpoint answered 503",
        "failing_since": "2026-11-18T12:00:00+00:00",
    },
    "endpoint-test": {},
    "webhook-failures": {
        "account_id": "0199f3a0-0000-7000-8000-00000000000a",
        "endpoint_id": "0199f3a0-0000-7000-8000-00000000000b",
        "channel": "webhook",
        "reason": "the endpoint answered 503",
    },
    "send-test": {},
    "digest": {
        "items": [
            {"at": "2026-11-20T14:05:00+00:00", "subject": "We received your payment of 10.00 USD"},
            {"at": "2026-11-20T18:30:00+00:00", "subject": "Less than 25 % of your credit is left"},
        ]
    },
}
_DETAILS: Final = {
    "device": "Firefox on Linux",
    "network": "192.0.2.0/24",
    "at": "2026-11-21 12:00 UTC",
    "team": "Poets",
    "role": "developer",
    "until": "2026-11-28 12:00 UTC",
    "name": "laptop",
    "last4": "x7Qp",
    "reason": "a question about an invoice",
    "deletion_due_at": "2026-12-21 12:00 UTC",
}


def sample_of(kind: str) -> Mapping[str, Any]:
    """Every value that the kind's templates may use, the link of a message included."""
    if KINDS[kind].audience == Audience.MESSAGE:
        return {"details": _DETAILS, "link": "https://faregate.example/auth/pages/verify?token=fgl_example"}
    return {**_VALUES[kind], "details": {}, "link": None}


SAMPLES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType({kind: sample_of(kind) for kind in KINDS})
