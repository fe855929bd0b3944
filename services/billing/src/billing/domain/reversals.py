"""Which movements of money backwards a refund or a dispute stands for, as it is now."""

from dataclasses import dataclass
from typing import Final, Literal

from billing.domain.states import Dispute, Refund

ReversalKind = Literal["refund", "dispute_opened", "dispute_won", "dispute_lost"]

_WITHDRAWN: Final = frozenset(
    {"needs_response", "under_review", "won", "lost", "appeal_needs_response", "appeal_under_review"}
)
"""Statuses in which the money left the balance; `warning_…` are inquiries, and `prevented` moved nothing."""


@dataclass(frozen=True, slots=True)
class Reversal:
    """One fact: it is stated once, whatever order or number of webhooks speak of it."""

    id: str
    kind: ReversalKind
    amount_minor: int
    currency: str


def of_refund(refund: Refund) -> tuple[Reversal, ...]:
    """A refund that is still pending or failed has not moved money."""
    if refund.status != "succeeded":
        return ()
    return (Reversal(refund.id, "refund", refund.amount_minor, refund.currency),)


def of_dispute(dispute: Dispute) -> tuple[Reversal, ...]:
    """The opening always comes first, so that what is closed was open before."""
    if dispute.status not in _WITHDRAWN:
        return ()
    facts: list[ReversalKind] = ["dispute_opened"]
    if dispute.status == "won":
        facts.append("dispute_won")
    elif dispute.status == "lost":
        facts.append("dispute_lost")
    return tuple(Reversal(dispute.id, kind, dispute.amount_minor, dispute.currency) for kind in facts)
