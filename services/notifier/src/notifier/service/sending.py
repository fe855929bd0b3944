"""One attempt at a mail: ask whom, render, hand over. No database here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from kit.clock import Clock
from notifier.adapters.directory import Recipient
from notifier.adapters.keys import UnsubscribeLinks
from notifier.adapters.mail import Mailer
from notifier.adapters.rendering import Renderer
from notifier.domain.choosing import Later
from notifier.domain.delivering import Claimed, Outcome, State
from notifier.domain.kinds import KINDS, Audience
from notifier.domain.samples import SAMPLES
from notifier.errors import AddressRefusedError, NothingToSendError, PermanentError, TemporaryError
from notifier.service.planning import Plan, Planned, wanted_roles


class People(Protocol):
    """Where recipients come from at the moment of sending."""

    async def members(self, account_id: UUID, *, role: str) -> list[Recipient]: ...

    async def message(self, message_id: UUID) -> Recipient: ...

    async def payment_page(self, account_id: UUID, payment_id: str) -> str | None: ...


@dataclass(slots=True)
class _Tally:
    """What has become of the people of a delivery so far."""

    mailed: list[UUID]
    newly_mailed: list[UUID] = field(default_factory=list)
    reached: int = 0
    refused: list[str] = field(default_factory=list)
    delayed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    later: list[Later] = field(default_factory=list)
    bounced: list[bytes] = field(default_factory=list)


class Sender:
    """Attempts mails. Without `operator_address` alerts stay in the log, the metrics and the operators' list."""

    def __init__(
        self,
        *,
        people: People,
        renderer: Renderer,
        mailer: Mailer,
        links: UnsubscribeLinks,
        clock: Clock,
        operator_address: str | None,
    ) -> None:
        self._people = people
        self._renderer = renderer
        self._mailer = mailer
        self._links = links
        self._clock = clock
        self._operator_address = operator_address

    async def recipients(self, claimed: Claimed) -> list[Recipient]:
        """Whom auth names for this delivery now; raises `NothingToSendError` when that is nobody."""
        if claimed.audience == Audience.OPERATORS:
            if self._operator_address is None:
                raise NothingToSendError("no operator mail is configured")
            return [Recipient(address=self._operator_address)]
        if claimed.audience == Audience.MESSAGE:
            assert claimed.message_id is not None
            return [await self._people.message(claimed.message_id)]
        found = await self._of_account(claimed)
        if not found:
            raise NothingToSendError("the account has nobody to mail")
        return found

    async def send(self, claimed: Claimed, plan: Plan) -> Outcome:
        """One mail per person, so that nobody sees another's address and one refusal costs only itself."""
        tally, page = _Tally(list(claimed.mailed_to)), await self._payment_page(claimed)
        for one in plan.people:
            if one.recipient.user_id is not None and one.recipient.user_id in tally.mailed:
                tally.reached += 1
                continue
            await self._tell(claimed, one, plan, page=page, tally=tally)
        return _outcome(tally, of=len(plan.people))

    async def send_sample(self, kind: str, address: str, *, delivery_id: UUID, locale: str | None = None) -> None:
        """Really send one mail of a kind, filled with examples; raises `DeliveryError` with the reason."""
        rendered = self._renderer.render(kind, SAMPLES[kind], locale=locale, link=SAMPLES[kind].get("link"))
        await self._mailer.send(rendered, to=address, message_id=str(delivery_id), kind=kind, now=self._clock.now())

    async def _of_account(self, claimed: Claimed) -> list[Recipient]:
        assert claimed.account_id is not None
        found: list[Recipient] = []
        for role in wanted_roles(claimed):
            people = await self._people.members(claimed.account_id, role=role)
            asked = people if role == "owner" else [one for one in people if _wants(one, claimed)]
            found += asked
        return found if claimed.user_id is None else [one for one in found if one.user_id == claimed.user_id]

    async def _payment_page(self, claimed: Claimed) -> str | None:
        """Where somebody who has to pay, or to confirm it, does so: asked now, because who has the link may pay."""
        kind, payment_id = KINDS.get(claimed.kind), claimed.payload.get("payment_id")
        if kind is None or not kind.links_to_payment or claimed.account_id is None or payment_id is None:
            return None
        return await self._people.payment_page(claimed.account_id, payment_id)

    async def _tell(self, claimed: Claimed, planned: Planned, plan: Plan, *, page: str | None, tally: _Tally) -> None:
        user_id, decision = planned.recipient.user_id, planned.decision
        if decision.act == "skip":
            tally.skipped.append(decision.reason or "not wanted")
            return
        if decision.act != "send":
            assert user_id is not None
            assert decision.at is not None
            tally.mailed.append(user_id)
            tally.later.append(Later(user_id=user_id, at=decision.at, is_digest=decision.act == "digest"))
            return
        try:
            await self._mail_one(claimed, planned.recipient, plan, page=page)
        except AddressRefusedError as error:
            tally.refused.append(error.reason)
            tally.bounced.append(planned.address_hash)
        except PermanentError as error:
            tally.refused.append(error.reason)
        except TemporaryError as error:
            tally.delayed.append(error.reason)
        else:
            tally.reached += 1
            if user_id is not None:
                tally.mailed.append(user_id)
                tally.newly_mailed.append(user_id)

    async def _mail_one(self, claimed: Claimed, recipient: Recipient, plan: Plan, *, page: str | None) -> None:
        unsubscribe_url = self._unsubscribe_url(claimed, recipient)
        rendered = self._renderer.render(
            claimed.kind,
            {**claimed.payload, "details": recipient.details, "items": self._items(plan, recipient.locale)},
            locale=recipient.locale,
            link=recipient.link or page,
            unsubscribe_url=unsubscribe_url,
        )
        message_id = f"{claimed.id}.{recipient.user_id.hex}" if recipient.user_id else str(claimed.id)
        await self._mailer.send(
            rendered,
            to=recipient.address,
            message_id=message_id,
            kind=claimed.kind,
            now=self._clock.now(),
            unsubscribe_url=unsubscribe_url,
        )

    def _items(self, plan: Plan, locale: str | None) -> Sequence[Mapping[str, Any]]:
        """What a digest tells, a line each."""
        return [
            {"at": at, "subject": self._renderer.subject(kind, payload, locale=locale)}
            for kind, payload, at in plan.digest
        ]

    def _unsubscribe_url(self, claimed: Claimed, recipient: Recipient) -> str | None:
        kind = KINDS.get(claimed.kind)
        if kind is None or claimed.account_id is None or recipient.user_id is None or not kind.may_be_left:
            return None
        return self._links.url(user_id=recipient.user_id, account_id=claimed.account_id, kind=claimed.kind)


def _wants(recipient: Recipient, claimed: Claimed) -> bool:
    """Those who are no owners are told what they asked for, and what was held back for them."""
    if recipient.user_id is None:
        return False
    return recipient.user_id == claimed.user_id or claimed.choices.get(recipient.user_id, "off") != "off"


def _outcome(tally: _Tally, *, of: int) -> Outcome:
    state, reason = _state(tally, of=of)
    return Outcome(
        state=state,
        reason=reason,
        mailed_to=tuple(tally.mailed),
        newly_mailed=tuple(tally.newly_mailed),
        later=tuple(tally.later),
        bounced=tuple(tally.bounced),
    )


def _state(tally: _Tally, *, of: int) -> tuple[State, str | None]:
    if tally.delayed:
        return State.PENDING, tally.delayed[0]
    if tally.refused and len(tally.refused) == of:
        return State.FAILED, tally.refused[0]
    said = [f"{len(tally.refused)} of {of} not reached: {tally.refused[0]}"] if tally.refused else []
    said += [f"{len(tally.skipped)} of {of} not told: {tally.skipped[0]}"] if tally.skipped else []
    said += [f"{len(tally.later)} of {of} told later"] if tally.later else []
    return State.SENT if tally.reached else State.SKIPPED, "; ".join(said) or None
