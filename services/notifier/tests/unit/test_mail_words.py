"""The words of mails: every kind renders, amounts read well, nothing is injected."""

from email.utils import parseaddr

import pytest

from contracts.billing import PaymentReversed
from notifier.adapters.rendering import Renderer, amount, money
from notifier.domain import TITLES
from notifier.errors import PermanentError

RENDERER = Renderer(public_url="https://faregate.example")
VALUES = {
    "unit": "credit",
    "base": 5_000_000_000,
    "available": 1_200,
    "reason": "credit",
    "model": "claude <b>sonnet</b>",
    "required_nano": 4_500_000,
    "available_nano": 0,
    "payment_kind": "bundle",
    "offer": "credits-10",
    "granted": 10_000_000_000,
    "paid_minor": 1000,
    "currency": "usd",
    "valid_days": None,
    "period_end": "2026-12-21T12:00:00+00:00",
    "amount_minor": 2000,
    "reversal": "refund",
    "reversed_minor": 500,
    "plan": "starter",
    "plan_before": None,
    "status": "active",
    "cancel_at_period_end": False,
    "origin": "ledger",
    "topic": "gateway.usage-recorded.v1",
    "partition": 0,
    "offset": 12,
    "details": {"device": "a <b>sonnet</b>", "network": "192.0.2.7", "team": "Poets"},
}


@pytest.mark.parametrize("kind", TITLES)
def test_every_kind_has_a_subject_a_text_and_an_html_form(kind: str) -> None:
    mail = RENDERER.render(kind, VALUES, link="https://faregate.example/auth/verify?token=abc&x=1")

    assert mail.subject
    assert "\n" not in mail.subject
    assert "https://faregate.example" in mail.text
    assert "</html>" in mail.html
    assert "<b>sonnet" not in mail.html
    assert "&amp;amp;" not in mail.html
    assert "\n\n\n\n" not in mail.text


@pytest.mark.parametrize("status", ["trialing", "active", "past_due", "canceled", "unpaid", "paused"])
def test_every_state_of_a_subscription_is_told_in_words(status: str) -> None:
    mail = RENDERER.render("subscription-changed", VALUES | {"status": status})

    assert "starter" in mail.text


@pytest.mark.parametrize("reversal", PaymentReversed.model_fields["kind"].annotation.__args__)
def test_every_reversal_is_told_in_words(reversal: str) -> None:
    mail = RENDERER.render("payment-reversed", VALUES | {"reversal": reversal})

    assert "5.00 USD" in mail.text
    assert mail.subject


def test_a_kind_or_a_value_that_is_missing_is_refused_with_the_reason() -> None:
    with pytest.raises(PermanentError, match="no template"):
        RENDERER.render("base", {})
    with pytest.raises(PermanentError, match="cannot be filled: UndefinedError"):
        RENDERER.render("credit-empty", {})


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0, "credit", "0 credits"),
        (1, "credit", "0.000000001 credits"),
        (1_000_000_000, "credit", "1 credit"),
        (-1_500_000_000, "credit", "-1.5 credits"),
        (50_000_000_000, "credit", "50 credits"),
        (1_234_567_890_000_000_000, "credit", "1,234,567,890 credits"),
        (1_200, "token", "1,200 tokens"),
        (1, "request", "1 request"),
    ],
)
def test_amounts_are_exact_and_readable(value: int, unit: str, words: str) -> None:
    assert amount(value, unit) == words


@pytest.mark.parametrize(
    ("minor", "currency", "words"),
    [(1000, "usd", "10.00 USD"), (5, "eur", "0.05 EUR"), (1000, "jpy", "1,000 JPY"), (1234, "kwd", "1.234 KWD")],
)
def test_money_has_the_digits_of_its_currency(minor: int, currency: str, words: str) -> None:
    assert money(minor, currency) == words


def test_no_template_holds_an_address() -> None:
    mail = RENDERER.render("verify-email", {}, link=None)

    assert parseaddr(mail.text)[1].count("@") == 0
