"""How the story of money looks: after each step what every party says, at the end a row for each step."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sandbox.demo.money.buyer import money
from sandbox.demo.money.said import UNIT_NANO, Said

COLUMNS = ["", "plan", "paid", "overage", "invoiced, open", "given back", "may be used"]
LAST_COLUMNS = ["step", "day", "plan", "paid", "overage", "invoiced, open", "given back", "may be used", "agree"]
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """One step as it stands in the last table."""

    step: str
    day: int
    said: Said

    def cells(self) -> list[str]:
        said = self.said
        return [
            self.step,
            str(self.day),
            _state(said.stripe.plan, said.stripe.status) if said.stripe.plan else str(said.ledger.plan),
            money(sum(said.stripe.paid.values())),
            _dollars(said.stripe.counted_units * UNIT_NANO),
            _invoiced(said.stripe.invoices),
            money(said.stripe.back_minor),
            _left(said.ledger.left),
            "✓",
        ]


def four_rows(said: Said) -> list[list[str]]:
    """One for each party; what a party has no word on is a dash."""
    ledger, billing, stripe, gateway = said.ledger, said.billing, said.stripe, said.gateway
    collected = ledger.paid_minor + stripe.use_minor
    return [
        [
            "ledger",
            ledger.plan or NOTHING,
            money(collected),
            _dollars(ledger.overage_nano),
            NOTHING,
            money(ledger.back_minor),
            _left(ledger.left),
        ],
        [
            "billing",
            _state(billing.plan, billing.status),
            money(sum(billing.paid.values())),
            _dollars(billing.reported_units * UNIT_NANO + billing.carried_nano),
            _invoiced(billing.invoices),
            money(billing.back_minor),
            NOTHING,
        ],
        [
            "Stripe",
            _state(stripe.plan, stripe.status),
            money(sum(stripe.paid.values())),
            _dollars(stripe.counted_units * UNIT_NANO),
            _invoiced(stripe.invoices),
            money(stripe.back_minor),
            NOTHING,
        ],
        ["gateway", gateway.plan or NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, _left(gateway.left)],
    ]


def _state(plan: str | None, status: str | None) -> str:
    return f"{plan}, {status}" if plan else NOTHING


def _dollars(nano: int) -> str:
    return f"${Decimal(nano) / 10**9:,.6f}" if nano else "$0"


def _invoiced(invoices: Mapping[str, tuple[str, int, int]]) -> str:
    total = sum(one for _, one, _ in invoices.values())
    unpaid = sum(one for status, one, _ in invoices.values() if status == "open")
    return f"{money(total)}, {money(unpaid)}"


def _left(left: Mapping[str, Decimal]) -> str:
    words = {"token": "tokens", "credit": "credits", "request": "calls"}
    return ", ".join(f"{amount:,} {words[unit]}" for unit, amount in sorted(left.items(), reverse=True)) or "nothing"
