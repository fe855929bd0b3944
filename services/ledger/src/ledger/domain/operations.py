"""Customers' own operations: what a repeated idempotency key means for the books."""

from typing import Literal, NamedTuple
from uuid import UUID

from contracts.gateway import UsageRecorded
from ledger.domain.pricing import RatedCall

KeyVerdict = Literal["first", "duplicate", "other_body"]


class OperationKey(NamedTuple):
    """An idempotency key, where it was used."""

    account_id: UUID
    route: str
    key: str


class KeyClaim(NamedTuple):
    """The first use of a key: with which body, by which call, for how much in the end."""

    key: OperationKey
    body_sha256: bytes
    charge_id: UUID
    quantity: int

    def verdict_on(self, other: "KeyClaim") -> KeyVerdict:
        """What another use of the key is beside this one."""
        if other.body_sha256 != self.body_sha256:
            return "other_body"
        return "first" if other.charge_id == self.charge_id else "duplicate"


def key_claim(event: UsageRecorded) -> KeyClaim | None:
    """The key that an event claims; an orphan claims none, because its real end may still come."""
    operation = event.operation
    if operation is None or operation.idempotency_key is None or event.outcome == "orphaned":
        return None
    key = OperationKey(event.account_id, event.surface, operation.idempotency_key)
    return KeyClaim(key, bytes.fromhex(operation.body_sha256 or ""), event.id, operation.quantity)


def same_end(call: RatedCall, other: UsageRecorded) -> bool:
    """Whether two events end one operation alike, told by two gateways at two moments."""
    return call.event.operation is not None and call.event.operation == other.operation
