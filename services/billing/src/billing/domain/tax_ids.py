"""Tax ids of customers, as they stand on invoices."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaxId:
    """`verification` is how far Stripe has come with asking the tax office."""

    id: str
    kind: str
    value: str
    country: str | None
    verification: str
