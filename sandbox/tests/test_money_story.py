"""The story of money fails where two parties do not say the same, and names both."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sandbox.demo.money.said import BillingSays, GatewaySays, LedgerSays, Said, StripeSays
from sandbox.demo.money.table import Row, four_rows

NOW = datetime(2027, 1, 1, tzinfo=UTC)
INVOICES = {"in_1": ("paid", 4_942, 4_942)}
AGREED = Said(
    at=NOW,
    ledger=LedgerSays(
        "pro", 4_900, {"pi_1": 170}, {"pi_1": 2_000_000}, 0, 425_000_500, 0, {"token": Decimal(5)}, Decimal(0)
    ),
    billing=BillingSays(
        "pro",
        "active",
        None,
        {"pi_1": 4_942},
        {"pi_1": 170},
        {"pi_1": 2_000_000},
        0,
        INVOICES,
        42,
        425_000_500,
        425_000,
        500,
    ),
    stripe=StripeSays("pro", "active", {"pi_1": 4_942}, {"pi_1": 170}, 0, INVOICES, 42, 425_000, 420_000, 5_000),
    gateway=GatewaySays("pro", {"token": Decimal(5)}, is_busy=False),
)


def test_parties_that_say_the_same_do_not_differ() -> None:
    assert AGREED.differences() == []


@pytest.mark.parametrize(
    ("party", "changed", "named"),
    [
        ("ledger", {"plan": "free"}, "the plan: the ledger says free, billing says pro"),
        ("ledger", {"paid_minor": 4_899}, "cents paid for plans and bundles: the ledger says 4899, billing says 4900"),
        ("ledger", {"granted": {"pi_1": 1}}, "what payments granted: the ledger says {pi_1: 1}"),
        ("ledger", {"fees": {}}, "Stripe's fees: the ledger says {}, billing says {pi_1: 170}"),
        ("ledger", {"back_minor": 5}, "cents given back: the ledger says 5, billing says 0"),
        ("ledger", {"overage_nano": 1}, "overage in nano-credits: the ledger says 1, billing says 425000500"),
        ("ledger", {"left": {}}, "what is left: the ledger says {}, the gateway says {token: 5}"),
        ("billing", {"paid": {}}, "payments: billing says {}, Stripe says {pi_1: 4942}"),
        ("billing", {"status": "past_due"}, "the subscription: billing says ('pro', 'past_due')"),
        ("billing", {"invoices": {}}, "invoices: billing says {}, Stripe says {in_1: ('paid', 4942, 4942)}"),
        ("billing", {"carried_nano": 0}, "overage in nano-credits: billing heard and says 425000500"),
        ("billing", {"use_minor": 41}, "cents paid for overage: billing says 41, Stripe says 42"),
        ("stripe", {"back_minor": 5}, "cents given back: billing says 0, Stripe says 5"),
        ("stripe", {"counted_units": 1}, "overage in millionths: billing says 425000, Stripe's meter says 1"),
        ("stripe", {"open_units": 0}, "overage in millionths: Stripe's meter says 425000, Stripe's invoices and"),
        ("stripe", {"fees": {"pi_1": 171}}, "Stripe's fees: billing says {pi_1: 170}, Stripe says {pi_1: 171}"),
        ("gateway", {"plan": None}, "the plan: the ledger says pro, the gateway says None"),
    ],
)  # fmt: skip
def test_what_two_parties_say_otherwise_is_named(party: str, changed: dict[str, Any], named: str) -> None:
    said = replace(AGREED, **{party: replace(getattr(AGREED, party), **changed)})

    assert any(one.startswith(named) for one in said.differences()), said.differences()


def test_an_unpaid_plan_holds_for_its_grace_and_no_longer() -> None:
    unpaid = replace(AGREED.billing, status="past_due", grace_until=NOW + timedelta(days=1))

    assert replace(AGREED, billing=unpaid).plan_due == "pro"
    assert replace(AGREED, billing=unpaid, at=NOW + timedelta(days=1)).plan_due == "free"
    assert replace(AGREED, billing=replace(unpaid, status="canceled")).plan_due == "free"


def test_the_tables_show_what_each_says_and_a_row_for_each_step() -> None:
    ledger, billing, stripe, gateway = four_rows(AGREED)

    assert ledger == ["ledger", "pro", "$49.42", "$0.425000", "-", "$0.00", "5 tokens"]
    assert billing == ["billing", "pro, active", "$49.42", "$0.425000", "$49.42, $0.00", "$0.00", "-"]
    assert (stripe[3], gateway[-1]) == ("$0.425000", "5 tokens")
    assert Row("invoice", 31, AGREED).cells()[:4] == ["invoice", "31", "pro, active", "$49.42"]
