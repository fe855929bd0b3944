"""Who is told, and when: read from the database between asking auth and sending, written only when all is settled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from notifier.adapters.directory import Recipient
from notifier.adapters.keys import AddressHashes
from notifier.domain.choosing import DIGEST, SEND, Decision, Standing, decide, hour_of
from notifier.domain.delivering import Claimed
from notifier.domain.kinds import KINDS, Audience
from notifier.domain.schedules import Schedule
from notifier.repository import deliveries, people


@dataclass(frozen=True, slots=True)
class Planned:
    """One person, what becomes of the notice for them, and the hash by which a bounce would be remembered."""

    recipient: Recipient
    decision: Decision
    address_hash: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What an attempt does; `digest` holds kind, payload and instant of each notice that a digest tells."""

    people: Sequence[Planned]
    digest: Sequence[tuple[str, Mapping[str, Any], str]] = ()


class Planning:
    """Decides for each person of a delivery, by their choices, their night, and how much they got already."""

    def __init__(self, *, clock: Clock, hashes: AddressHashes, most_per_hour: int) -> None:
        self._clock = clock
        self._hashes = hashes
        self._most_per_hour = most_per_hour

    async def plan(self, session: AsyncSession, claimed: Claimed, recipients: Sequence[Recipient]) -> Plan:
        now, kind = self._clock.now(), KINDS.get(claimed.kind)
        ids = [one.user_id for one in recipients if one.user_id is not None]
        hashes = [self._hashes.of(one.address) for one in recipients]
        schedules = await people.list_schedules(session, ids)
        counts = await people.list_mail_counts(session, ids, hour=hour_of(now))
        suppressed = await people.list_suppressed(session, hashes, now=now)
        planned = []
        for recipient, address_hash in zip(recipients, hashes, strict=True):
            standing = Standing(
                choice=claimed.choices.get(recipient.user_id, "now") if recipient.user_id else "now",
                schedule=schedules.get(recipient.user_id, Schedule()) if recipient.user_id else Schedule(),
                mails=counts.get(recipient.user_id, 0) if recipient.user_id else 0,
                suppressed=suppressed.get(address_hash),
            )
            decision = decide(kind, standing, now=now, most_per_hour=self._most_per_hour) if kind else SEND
            planned.append(Planned(recipient, decision, address_hash))
        return Plan(planned, digest=await self._digest(session, claimed))

    async def _digest(self, session: AsyncSession, claimed: Claimed) -> Sequence[tuple[str, Mapping[str, Any], str]]:
        if claimed.kind != DIGEST:
            return ()
        items = await deliveries.list_digest_items(session, claimed.id)
        return [(kind, payload, occurred_at.isoformat()) for kind, payload, occurred_at in items]


def wanted_roles(claimed: Claimed) -> list[str]:
    """The owners, and where others have asked for this kind the roles that may see it."""
    kind = KINDS.get(claimed.kind)
    if claimed.audience != Audience.ACCOUNT or kind is None:
        return ["owner"]
    others = claimed.user_id is not None or any(choice != "off" for choice in claimed.choices.values())
    return ["owner", *sorted(kind.roles - {"owner"})] if others else ["owner"]
