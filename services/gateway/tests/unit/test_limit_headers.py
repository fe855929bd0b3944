"""The customer's limits in the head of an answer, and the provider's kept from it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from gateway.admission.types import Admitted, Amounts, Left, LimitState, Rate
from gateway.headers import to_client, to_provider, to_service
from gateway.surfaces.limit_headers import LimitHeaders

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOW_S = NOW.timestamp()
RESET_MS = int(NOW_S * 1000) + 29_500


def admitted(limits: LimitState | None = None, *, near: bool = False) -> Admitted:
    return Admitted(
        call_id=uuid4(),
        account_id=uuid4(),
        admitted_at=NOW,
        amounts=Amounts(credit_nano=673_325),
        allocation=(),
        plan_id="p",
        plan_version=1,
        markup_bps=0,
        near=near,
        left=Left(credit_nano=-1_500_000_000),
        limits=limits or LimitState(),
    )


def head(given: Admitted, *, kind: str = "anthropic", shows_balance: bool = False) -> dict[str, str]:
    made = LimitHeaders()
    headers = made.of(given, kind=kind, now_s=NOW_S, shows_balance=shows_balance)
    assert headers == made.of(given, kind=kind, now_s=NOW_S, shows_balance=shows_balance)
    assert len(dict(headers)) == len(headers)
    return {name.decode(): value.decode() for name, value in headers}


def test_without_limits_there_is_the_estimate():
    assert head(admitted()) == {"faregate-estimated-cost": "0.000673325"}


def test_the_balance_and_a_near_limit_are_told():
    found = head(admitted(near=True), shows_balance=True)
    assert (found["faregate-balance"], found["faregate-near-limit"]) == ("-1.5", "true")


def test_anthropics_names_hold_the_customers_rates():
    found = head(admitted(LimitState(requests=Rate(60, 59, RESET_MS), tokens=Rate(50_000, 12_345, RESET_MS))))
    reset = "2026-11-21T12:00:30Z"
    assert found == {
        "faregate-estimated-cost": "0.000673325",
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "59",
        "anthropic-ratelimit-requests-reset": reset,
        "anthropic-ratelimit-tokens-limit": "50000",
        "anthropic-ratelimit-tokens-remaining": "12000",
        "anthropic-ratelimit-tokens-reset": reset,
        "anthropic-ratelimit-input-tokens-limit": "50000",
        "anthropic-ratelimit-input-tokens-remaining": "12000",
        "anthropic-ratelimit-input-tokens-reset": reset,
    }


def test_openais_names_hold_the_same_as_a_span():
    found = head(admitted(LimitState(requests=Rate(60, 59, RESET_MS), tokens=Rate(50_000, 999, None))), kind="openai")
    assert found == {
        "faregate-estimated-cost": "0.000673325",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "30s",
        "x-ratelimit-limit-tokens": "50000",
        "x-ratelimit-remaining-tokens": "0",
    }


@pytest.mark.parametrize(
    ("used", "status", "threshold"),
    [
        (0.0, "allowed", None),
        (0.749, "allowed", None),
        (0.75, "allowed_warning", "0.75"),
        (0.9499, "allowed_warning", "0.75"),
        (0.95, "allowed_warning", "0.95"),
        (1.0, "allowed_warning", "0.95"),
    ],
)
def test_claude_code_is_told_of_the_used_share(used: float, status: str, threshold: str | None):
    renews_at = NOW + timedelta(days=9)
    found = head(admitted(LimitState(utilisation=used, renews_at=renews_at)))
    prefix = "anthropic-ratelimit-unified-"
    assert found[f"{prefix}status"] == found[f"{prefix}7d-status"] == status
    assert found[f"{prefix}reset"] == found[f"{prefix}7d-reset"] == str(int(renews_at.timestamp()))
    assert found[f"{prefix}representative-claim"] == "seven_day"
    assert found.get(f"{prefix}7d-surpassed-threshold") == threshold
    # Never rounded up to a threshold that is not passed.
    assert float(found[f"{prefix}7d-utilization"]) <= used


def test_an_allowance_that_renews_within_hours_is_a_short_window():
    found = head(admitted(LimitState(utilisation=0.5, renews_at=NOW + timedelta(hours=2))))
    assert found["anthropic-ratelimit-unified-representative-claim"] == "five_hour"
    assert found["anthropic-ratelimit-unified-5h-utilization"] == "0.50"


def test_credits_that_never_renew_have_no_reset():
    found = head(admitted(LimitState(utilisation=0.8)))
    assert "anthropic-ratelimit-unified-reset" not in found
    assert found["anthropic-ratelimit-unified-status"] == "allowed_warning"


def test_the_providers_account_and_limits_end_here():
    kept = [(b"content-type", b"text/event-stream"), (b"request-id", b"r"), (b"retry-after", b"3"), (b"X-Odd", b"1")]
    dropped = [
        b"anthropic-ratelimit-requests-limit", b"Anthropic-RateLimit-Unified-Status", b"anthropic-organization-id",
        b"x-ratelimit-remaining-tokens", b"openai-organization", b"openai-project",
        b"anthropic-priority-input-tokens-limit", b"set-cookie", b"server", b"transfer-encoding", b"faregate-balance",
        b"content-length",
    ]  # fmt: skip
    given = [*kept, *((name, b"v") for name in dropped), (b"connection", b"x-odd, close")]
    assert to_client(given) == kept[:-1]


def test_a_credential_of_the_client_never_reaches_the_provider():
    kept = [(b"anthropic-beta", b"a"), (b"anthropic-beta", b"b"), (b"user-agent", b"x"), (b"content-type", b"j")]
    dropped = [b"Authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"openai-organization",
               b"x-forwarded-for", b"host", b"Faregate-Account"]  # fmt: skip
    assert to_provider([*kept, *((name, b"v") for name in dropped)]) == kept
    assert (b"authorization", b"v") in to_service([(b"authorization", b"v"), (b"x-user-id", b"v")])
    assert to_service([(b"x-account-id", b"v")]) == []
