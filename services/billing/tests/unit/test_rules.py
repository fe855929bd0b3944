"""Pure rules: return addresses, reversals, shapes, settings."""

import pytest

from billing.adapters.shapes import intent_of, shaped, subscription_of
from billing.domain.returns import ReturnPages
from billing.domain.reversals import of_dispute, of_refund
from billing.domain.states import Dispute, Refund
from billing.errors import ReturnAddressError, StripeShapeError
from billing.settings import BillingSettings
from kit.settings import load

PAGES = ReturnPages("https://fare.example")


@pytest.mark.parametrize(
    "url",
    [
        "https://fare.example/done",
        "https://fare.example:443/done?x=1",
        "http://localhost:4000/cb",
        "http://127.0.0.1/cb",
        "http://[::1]:9/cb",
    ],
)
def test_our_own_origin_and_the_buyers_machine_may_be_returned_to(url):
    assert PAGES.checked(url, field="success_url", default="") == url


@pytest.mark.parametrize(
    "url",
    [
        "https://fare.example.evil.example/",
        "https://evil.example/https://fare.example/",
        "http://fare.example/",
        "https://fare.example:8443/",
        "https://fare.example@evil.example/",
        "https://evil.example\\@fare.example/",
        "//fare.example/x",
        "/done",
        "ftp://localhost/x",
        "javascript:alert(1)",
        "http://127.0.0.1.evil.example/",
        "http://localhost:99999/",
        "",
    ],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(ReturnAddressError):
        PAGES.checked(url, field="success_url", default="")


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        ("needs_response", ["dispute_opened"]),
        ("under_review", ["dispute_opened"]),
        ("won", ["dispute_opened", "dispute_won"]),
        ("lost", ["dispute_opened", "dispute_lost"]),
        ("warning_needs_response", []),
        ("warning_closed", []),
        ("prevented", []),
    ],
)
def test_a_dispute_states_what_moved_money(status, kinds):
    assert [reversal.kind for reversal in of_dispute(Dispute("du_1", status, 1000, "usd"))] == kinds


@pytest.mark.parametrize(("status", "count"), [("succeeded", 1), ("pending", 0), ("failed", 0), ("canceled", 0)])
def test_only_a_refund_that_succeeded_moved_money(status, count):
    assert len(of_refund(Refund("re_1", status, 1000, "usd"))) == count


def test_a_fee_in_another_currency_is_turned_into_the_payments_own():
    intent = intent_of(
        {
            "id": "pi_1",
            "status": "succeeded",
            "amount": 1000,
            "amount_received": 1000,
            "currency": "usd",
            "customer": "cus_1",
            "metadata": {},
            "last_payment_error": None,
            "latest_charge": {
                "amount": 1000,
                "currency": "usd",
                "balance_transaction": {"fee": 50, "amount": 900, "currency": "eur"},
            },
        }
    )

    assert intent.fee_minor == 56


def test_an_object_of_another_shape_is_refused_without_its_content():
    with pytest.raises(StripeShapeError) as refused:
        shaped(subscription_of, {"object": "subscription", "id": "sub_1", "items": {"data": []}, "secret": "x"})

    assert "sub_1" not in str(refused.value)


ENVIRONMENT = {
    "FAREGATE_ENVIRONMENT": "sandbox",
    "FAREGATE_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "FAREGATE_PUBLIC_URL": "http://127.0.0.1:8080",
    "FAREGATE_AUTH_URL": "http://127.0.0.1:8081",
    "FAREGATE_BILLING_PORT": "8083",
    "FAREGATE_BILLING_DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
    "FAREGATE_STRIPE_SECRET_KEY": "sk_test_x",
    "FAREGATE_STRIPE_WEBHOOK_SECRET": "whsec_x, whsec_y",
}


def test_settings_take_several_webhook_secrets(monkeypatch):
    set_all(monkeypatch, {})

    assert load(BillingSettings, service="billing").webhook_secrets == ("whsec_x", "whsec_y")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"FAREGATE_STRIPE_SECRET_KEY": None}, "FAREGATE_STRIPE_SECRET_KEY: is not set"),
        ({"FAREGATE_STRIPE_WEBHOOK_SECRET": None}, "FAREGATE_STRIPE_WEBHOOK_SECRET: is not set"),
        ({"FAREGATE_STRIPE_WEBHOOK_SECRET": "whsec_x,"}, "FAREGATE_STRIPE_WEBHOOK_SECRET: "),
        ({"FAREGATE_STRIPE_SECRET_KEY": "sk_live_abc"}, "FAREGATE_STRIPE_SECRET_KEY: "),
        ({"FAREGATE_STRIPE_SECRET_KEY": "rk_live_abc"}, "FAREGATE_STRIPE_SECRET_KEY: "),
        ({"FAREGATE_STRIPE_SECRET_KEY": "whatever"}, "FAREGATE_STRIPE_SECRET_KEY: "),
        ({"FAREGATE_BILLING_STRIPE_POLL_S": "-1"}, "FAREGATE_BILLING_STRIPE_POLL_S: "),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(monkeypatch, capsys, changed, said):
    set_all(monkeypatch, changed)

    with pytest.raises(SystemExit):
        load(BillingSettings, service="billing")

    shown = capsys.readouterr().err
    assert said in shown
    assert "live_abc" not in shown


def test_a_live_key_is_right_in_production(monkeypatch):
    set_all(monkeypatch, {"FAREGATE_ENVIRONMENT": "production", "FAREGATE_STRIPE_SECRET_KEY": "sk_live_abc"})

    assert load(BillingSettings, service="billing").environment == "production"


def set_all(monkeypatch, changed: dict[str, str | None]) -> None:
    for name, value in {**ENVIRONMENT, **changed}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
