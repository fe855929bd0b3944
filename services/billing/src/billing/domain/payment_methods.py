"""Ways to pay that Stripe keeps for a customer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """What a person recognises a card by."""

    brand: str
    last4: str

    def __str__(self) -> str:
        return f"{self.brand} card ending in {self.last4}"


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """A card, or what else Stripe keeps; only what a person needs to recognise it."""

    id: str
    kind: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None


@dataclass(frozen=True, slots=True)
class Wallet:
    """A customer's ways to pay, and which of them is charged when nobody says otherwise."""

    methods: tuple[PaymentMethod, ...]
    default_id: str | None

    def has(self, method_id: str) -> bool:
        return any(method.id == method_id for method in self.methods)

    @property
    def charged_id(self) -> str | None:
        """The default while it is there, else the newest."""
        known = [method.id for method in self.methods]
        if self.default_id in known:
            return self.default_id
        return known[0] if known else None
