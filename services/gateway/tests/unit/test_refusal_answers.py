"""What each refusal of admission becomes: status, retry rules, limit, reset time, where to get more."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from contracts.gateway import RefusalReason
from contracts.terms import Limits, PaymentProblem
from gateway.admission.types import Amounts, Left, LimitState, Rate, Refused
from gateway.errors import ModelApiError
from gateway.identity.flood import TooManyRequestsError
from gateway.surfaces.amount_text import credits_text, rfc3339, spoken
from gateway.surfaces.refusals import domain_refusal, may_read_balance, refusal
from kit.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from kit.tokens import Caller

ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")
UPGRADE = "https://faregate.example/upgrade"
RESET = datetime(2026, 12, 1, tzinfo=UTC)
SPOKEN = "1 December 2026 at 00:00 UTC (2026-12-01T00:00:00Z)"


def caller(role: str = "owner", scopes: tuple[str, ...] = ()) -> Caller:
    return Caller(
        user_id=ACCOUNT,
        account_id=ACCOUNT,
        role=role,
        operator=False,
        session_id=None,
        api_key_id=None,
        project_id=None,
        plan=None,
        scopes=scopes,
        expires_at=RESET,
    )


def refused(reason: RefusalReason, **changes: object) -> Refused:
    values = {"required": Amounts(credit_nano=1_500_000_000), "left": Left(credit_nano=250_000_000)}
    return Refused(reason=reason, **(values | changes))


def answer(reason: RefusalReason, *, who: Caller | None = None, limits: Limits | None = None, **changes: object):
    return refusal(
        refused(reason, **changes),
        caller=who or caller(),
        model="claude-opus-5-5",
        upgrade_url=UPGRADE,
        limits=limits,
        now_s=RESET.timestamp(),
    )


def told(error: ModelApiError) -> dict[str, object]:
    return orjson.loads(error.body("req_1"))["error"]


@pytest.mark.parametrize(
    ("reason", "status", "kind", "retry", "waits"),
    [
        ("credit", 402, "billing_error", "false", False),
        ("frozen", 403, "permission_error", "false", False),
        ("closed", 403, "permission_error", "false", False),
        ("model_not_allowed", 404, "not_found_error", "false", False),
        ("max_tokens", 400, "invalid_request_error", "false", False),
        ("max_price", 400, "invalid_request_error", "false", False),
        ("amount_too_large", 400, "invalid_request_error", "false", False),
        ("requests_per_minute", 429, "rate_limit_error", "true", True),
        ("tokens_per_minute", 429, "rate_limit_error", "true", True),
        ("concurrency", 429, "rate_limit_error", "true", True),
        ("member_concurrency", 429, "rate_limit_error", "true", True),
        ("budget", 429, "billing_error", "false", True),
        ("too_many_unconfirmed", 503, "api_error", "true", True),
        ("unavailable", 503, "api_error", "true", True),
    ],
)
def test_each_refusal_has_its_status_and_is_tried_again_only_where_waiting_helps(
    reason: RefusalReason, status: int, kind: str, retry: str, waits
):
    error = answer(reason)
    assert (error.status, error.error_type, error.headers["x-should-retry"]) == (status, kind, retry)
    assert ("retry-after" in error.headers) is waits


def test_every_reason_has_an_answer():
    for reason in RefusalReason.__args__:
        assert answer(reason).message.rstrip(".")


def test_credits_gone_names_what_is_left_what_is_needed_and_when_it_renews():
    error = answer("credit", resets_at=RESET)
    assert error.message == (
        "Your credits do not cover this call: it needs up to 1.5 credits, and 0.25 credits are left. "
        f"Your plan's allowance renews on {SPOKEN}. Add credits or upgrade at {UPGRADE}"
    )
    facts = {"balance": "0.25", "required": "1.5", "resets_at": "2026-12-01T00:00:00Z", "upgrade_url": UPGRADE}
    assert told(error) == {
        "type": "billing_error",
        "message": error.message,
        **facts,
        "details": {"error_code": "insufficient_credits", "limit": "credit", **facts},
    }
    assert error.headers["faregate-balance"] == "0.25"
    assert error.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert error.headers["anthropic-ratelimit-unified-reset"] == str(int(RESET.timestamp()))


VISA = PaymentProblem(reason="insufficient_funds", card_brand="visa", card_last4="0341")


def declined(problem: PaymentProblem, *, who=None, resets_at=None):
    return refusal(
        refused("credit", resets_at=resets_at), caller=who or caller(), model="m", upgrade_url=UPGRADE, problem=problem
    )


def test_credits_gone_because_a_card_was_declined_names_the_card_the_reason_and_where_to_settle_it():
    error = declined(VISA, resets_at=RESET)
    assert error.message == (
        "Your credits do not cover this call: it needs up to 1.5 credits, and 0.25 credits are left. "
        "The last payment did not go through: the Visa card ending in 0341 was declined (insufficient funds). "
        f"Settle it at {UPGRADE}"
    )
    named = {"reason": "insufficient_funds", "card_brand": "visa", "card_last4": "0341"}
    assert told(error)["payment_problem"] == told(error)["details"]["payment_problem"] == named


def test_a_payment_that_the_bank_wants_confirmed_is_not_called_declined():
    message = declined(PaymentProblem(reason="authentication_required", card_brand="visa", card_last4="3184")).message
    assert "The bank wants the last payment with the Visa card ending in 3184 to be confirmed" in message
    assert "declined" not in message


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (PaymentProblem(reason="do_not_honor"), "this account's card was declined (the bank gave no reason)"),
        (PaymentProblem(reason="some_new_word"), "this account's card was declined (some new word)"),
        (
            PaymentProblem(reason="expired_card", card_brand="amex", card_last4="0005"),
            "the Amex card ending in 0005 was declined (it has expired)",
        ),
        (PaymentProblem(reason="lost_card", card_last4="1"), "the card ending in 1 was declined (the bank does not"),
    ],
)
def test_a_decline_is_told_in_words_whatever_is_known_of_the_card(problem, sentence):
    assert sentence in declined(problem).message


def test_who_may_not_read_the_balance_hears_what_happened_and_not_of_the_card():
    error = declined(VISA, who=caller("user"))
    assert "this account's card was declined (insufficient funds)" in error.message
    assert "0341" not in str(told(error))
    assert told(error)["payment_problem"] == {"reason": "insufficient_funds"}


def test_a_declined_card_is_no_part_of_other_refusals():
    error = refusal(refused("concurrency"), caller=caller(), model="m", upgrade_url=UPGRADE, problem=VISA)
    assert "0341" not in str(told(error))


def test_credits_that_never_renew_name_no_time():
    error = answer("credit")
    assert "renews" not in error.message
    assert "resets_at" not in told(error)


def test_an_allowance_that_renews_is_named_from_the_state_of_the_limits():
    of_plan = refused("credit", limits=LimitState(renews_at=RESET))
    assert SPOKEN in refusal(of_plan, caller=caller(), model="m", upgrade_url=UPGRADE).message


@pytest.mark.parametrize(
    ("who", "reads"),
    [
        (caller("owner"), True),
        (caller("admin"), True),
        (caller("user"), False),
        (caller("owner", ("model:claude-haiku-5-5",)), True),
        (caller("owner", ("route:/v1/messages",)), False),
        (caller("owner", ("route:/v1/messages", "route:/v1/limits")), True),
        (caller("user", ("route:/v1/limits",)), False),
    ],
)
def test_the_balance_is_for_those_who_may_read_it(who: Caller, reads):
    assert may_read_balance(who) is reads
    error = answer("credit", who=who)
    assert ("faregate-balance" in error.headers) is reads
    assert ("0.25" in error.body("req_1").decode()) is reads
    assert told(error)["required"] == "1.5"


def test_a_rate_names_its_size_and_the_seconds_to_wait():
    error = answer(
        "requests_per_minute",
        retry_after_s=11.2,
        resets_at=datetime(2026, 11, 21, 12, 0, 12, tzinfo=UTC),
        limits=Limits(requests_per_minute=1_200),
    )
    assert error.headers["retry-after"] == "12"
    assert error.message == (
        "This call would exceed your plan's limit of 1,200 requests per minute. Try again in 12 seconds "
        f"(at 2026-11-21T12:00:12Z), or upgrade at {UPGRADE}"
    )
    error.envelope = "openai"
    assert (told(error)["type"], told(error)["code"]) == ("requests", "rate_limit_exceeded")


def test_a_rate_in_tokens_counts_input():
    error = answer("tokens_per_minute", limits=Limits(tokens_per_minute=50_000))
    assert "limit of 50,000 input tokens per minute. Try again in 1 second," in error.message
    error.envelope = "openai"
    assert told(error)["type"] == "tokens"


def test_a_wait_that_no_client_waits_is_not_asked_for():
    error = answer("requests_per_minute", retry_after_s=3_600)
    assert (error.headers["retry-after"], error.headers["x-should-retry"]) == ("3600", "false")


def test_concurrency_says_whose():
    assert (
        "this account has reached your plan's limit of 5 concurrent calls"
        in answer("concurrency", limits=Limits(concurrency=5)).message
    )
    assert (
        "one member of this account has reached your plan's limit of 2 concurrent calls"
        in answer("member_concurrency", limits=Limits(member_concurrency=2)).message
    )


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("budget:api_key:day", "The daily budget set for this API key is used up."),
        ("budget:member:month", "The monthly budget set for you as a member of this account is used up."),
        ("budget:project:total", "The total budget set for this project is used up."),
        ("budget:account:month", "The monthly budget set for this account is used up."),
        (None, "The spend budget set for this account is used up."),
    ],
)
def test_a_budget_names_whose_it_is_and_when_it_resets(limit: str | None, words: str):
    error = answer("budget", limit=limit, resets_at=RESET, retry_after_s=86_400.5)
    assert error.message.startswith(f"{words} It resets on {SPOKEN}.")
    assert error.headers["retry-after"] == "86401"
    assert told(error)["details"]["limit"] == (limit or "budget")
    error.envelope = "openai"
    assert told(error)["code"] == "insufficient_quota"


def test_a_429_that_claude_code_takes_for_its_own_limit_never_lacks_a_time_to_wait():
    """Without it that client asks again for ever."""
    error = answer("budget", limit="budget:project:total")
    assert error.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert int(error.headers["retry-after"]) > 0


def test_the_plans_own_figures_are_named():
    assert "for one call (4,096)" in answer("max_tokens", limits=Limits(max_tokens=4_096)).message
    error = answer("max_price", limits=Limits(max_price_nano=500_000_000))
    assert "could cost up to 1.5 credits, more than your plan allows for one call (0.5 credits)" in error.message


@pytest.mark.parametrize("reason", [reason for reason in RefusalReason.__args__ if reason not in {
    "closed", "amount_too_large", "too_many_unconfirmed", "unavailable"}])  # fmt: skip
def test_whatever_more_money_mends_says_where(reason: RefusalReason):
    assert UPGRADE in answer(reason).message


def test_the_state_of_the_limits_stands_in_the_head_as_the_vendor_writes_it():
    limits = LimitState(requests=Rate(60, 0, int(RESET.timestamp() * 1000) + 20_000))
    error = refusal(refused("requests_per_minute", limits=limits), caller=caller(), model="m", upgrade_url=UPGRADE)
    assert error.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert "limit of 60 requests per minute" in error.message
    error = refusal(
        refused("requests_per_minute", limits=limits),
        caller=caller(),
        model="m",
        upgrade_url=UPGRADE,
        kind="openai",
        now_s=RESET.timestamp(),
    )
    assert error.headers["x-ratelimit-reset-requests"] == "20s"


def test_our_own_failures_are_never_the_clients():
    for error, status in [
        (UnavailableError("away", retry_after_s=3), 503),
        (ForbiddenError("no"), 403),
        (UnauthenticatedError("bad key"), 401),
    ]:
        told_so = domain_refusal(error)
        assert told_so.status == status
    assert domain_refusal(UnavailableError("away", retry_after_s=3)).headers["retry-after"] == "3"
    assert domain_refusal(UnauthenticatedError("bad key")).headers["x-should-retry"] == "false"


def test_amounts_and_instants_read_well():
    assert [credits_text(amount) for amount in (0, 1, -1, 10**9, 1_500_000_000, -2_000_000_000)] == [
        "0", "0.000000001", "-0.000000001", "1", "1.5", "-2",
    ]  # fmt: skip
    assert rfc3339(datetime(2026, 11, 21, 23, 59, 59, 1, tzinfo=UTC)) == "2026-11-22T00:00:00Z"
    assert spoken(RESET) == SPOKEN


@pytest.mark.parametrize(("retry_after_s", "helps"), [(3, "true"), (600, "false")])
def test_who_asks_too_often_is_told_when_to_come_back(retry_after_s: int, helps: str):
    told_so = domain_refusal(TooManyRequestsError("Too many bad keys", retry_after_s=retry_after_s))

    assert (told_so.status, told_so.error_type) == (429, "rate_limit_error")
    assert (told_so.headers["retry-after"], told_so.headers["x-should-retry"]) == (str(retry_after_s), helps)
    told_so.envelope = "openai"
    assert orjson.loads(told_so.body("req_1"))["error"]["code"] == "rate_limit_exceeded"
