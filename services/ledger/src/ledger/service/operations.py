"""Idempotency keys of customers' own operations, claimed before anything else of a batch is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.gateway import UsageRecorded
from kit import logging
from kit.consumer import Batch
from kit.received import Received
from ledger.domain.operations import KeyClaim, OperationKey, key_claim
from ledger.domain.pricing import RatedCall
from ledger.repository.operations import insert_keys, list_keys

log = logging.get(__name__)

Arrival = tuple[RatedCall, Received[UsageRecorded]]


@dataclass(slots=True)
class Keyed:
    """A batch's calls after their keys: those to book, and those set aside, whose holds must go all the same."""

    arrivals: list[Arrival]
    refused: dict[UUID, list[UUID]] = field(default_factory=dict)


async def claim_keys(session: AsyncSession, arrivals: list[Arrival], batch: Batch, *, now: datetime) -> Keyed:
    """A key's first call is booked in full; a repeat of it at zero; another body under it is set aside."""
    claims = [key_claim(call.event) for call, _ in arrivals]
    wanted = _first_of_each([claim for claim in claims if claim is not None])
    if not wanted:
        return Keyed(arrivals)
    new = await insert_keys(session, list(wanted.values()), now=now)
    standing = await list_keys(session, list(wanted))
    keyed = Keyed([])
    for (call, received), claim in zip(arrivals, claims, strict=True):
        if claim is None or _may_be_booked(call, claim, standing[claim.key], is_new=claim.key in new):
            keyed.arrivals.append((call, received))
        else:
            _refuse(received, batch, keyed)
    return keyed


def _first_of_each(claims: Sequence[KeyClaim]) -> dict[OperationKey, KeyClaim]:
    first: dict[OperationKey, KeyClaim] = {}
    for claim in sorted(claims, key=lambda claim: claim.charge_id.int):
        first.setdefault(claim.key, claim)
    return first


def _may_be_booked(call: RatedCall, claim: KeyClaim, standing: KeyClaim, *, is_new: bool) -> bool:
    match standing.verdict_on(claim):
        case "other_body":
            return False
        case "duplicate":
            call.repeat(standing.charge_id)
        case "first":
            call.is_told_again = not is_new and claim == standing
    return True


def _refuse(received: Received[Any], batch: Batch, keyed: Keyed) -> None:
    event = received.event
    log.error("ledger.idempotency_key_reused", call_id=str(event.id), gateway=event.gateway_instance)
    batch.reject(received, "the idempotency key came before with another body")
    keyed.refused.setdefault(event.account_id, []).append(event.id)
