"""One attempt at a delivery: ask whom, render, hand over. No database here."""

from typing import Protocol
from uuid import UUID

from pydantic import ValidationError

from kit.clock import Clock
from notifier.adapters.directory import Recipient
from notifier.adapters.mail import Mailer
from notifier.adapters.rendering import Renderer
from notifier.domain import Audience, Claimed, Outcome, State
from notifier.errors import NothingToSendError, PermanentError, TemporaryError


class People(Protocol):
    """Where recipients come from at the moment of sending."""

    async def owners(self, account_id: UUID) -> list[Recipient]: ...

    async def message(self, message_id: UUID) -> Recipient: ...


class Sender:
    """Attempts deliveries. Without `operator_address` alerts stay in the log, the metrics and the operators' list."""

    def __init__(
        self, *, people: People, renderer: Renderer, mailer: Mailer, clock: Clock, operator_address: str | None
    ) -> None:
        self._people = people
        self._renderer = renderer
        self._mailer = mailer
        self._clock = clock
        self._operator_address = operator_address

    async def attempt(self, claimed: Claimed) -> Outcome:
        """Mail everybody who does not have the mail yet; the outcome says what is left to do."""
        try:
            return await self._mail_all(claimed, await self._recipients(claimed))
        except NothingToSendError as error:
            return Outcome(state=State.SKIPPED, reason=error.reason, mailed_to=claimed.mailed_to)
        except PermanentError as error:
            return Outcome(state=State.FAILED, reason=error.reason, mailed_to=claimed.mailed_to)
        except TemporaryError as error:
            return Outcome(state=State.PENDING, reason=error.reason, mailed_to=claimed.mailed_to)
        except ValidationError:
            reason = "auth's answer has not the agreed shape"
            return Outcome(state=State.PENDING, reason=reason, mailed_to=claimed.mailed_to)

    async def send_test(self, address: str, *, delivery_id: UUID) -> None:
        """Really send the test mail; raises `DeliveryError` with the reason."""
        rendered = self._renderer.render("send-test", {})
        await self._mailer.send(
            rendered, to=address, message_id=str(delivery_id), kind="send-test", now=self._clock.now()
        )

    async def _recipients(self, claimed: Claimed) -> list[Recipient]:
        if claimed.audience == Audience.OPERATORS:
            if self._operator_address is None:
                raise NothingToSendError("no operator mail is configured")
            return [Recipient(address=self._operator_address)]
        if claimed.audience == Audience.MESSAGE:
            assert claimed.message_id is not None
            return [await self._people.message(claimed.message_id)]
        assert claimed.account_id is not None
        owners = await self._people.owners(claimed.account_id)
        if not owners:
            raise NothingToSendError("the account has nobody to mail")
        return owners

    async def _mail_all(self, claimed: Claimed, recipients: list[Recipient]) -> Outcome:
        """One mail per person, so that nobody sees another's address and one refusal costs only itself."""
        mailed = list(claimed.mailed_to)
        refused: list[str] = []
        delayed: list[str] = []
        for recipient in recipients:
            if recipient.user_id is not None and recipient.user_id in mailed:
                continue
            try:
                await self._mail_one(claimed, recipient)
            except PermanentError as error:
                refused.append(error.reason)
            except TemporaryError as error:
                delayed.append(error.reason)
            else:
                if recipient.user_id is not None:
                    mailed.append(recipient.user_id)
        return _outcome(mailed, refused, delayed, of=len(recipients))

    async def _mail_one(self, claimed: Claimed, recipient: Recipient) -> None:
        values = {**claimed.payload, "details": recipient.details}
        rendered = self._renderer.render(claimed.kind, values, link=recipient.link)
        message_id = f"{claimed.id}.{recipient.user_id.hex}" if recipient.user_id else str(claimed.id)
        await self._mailer.send(
            rendered, to=recipient.address, message_id=message_id, kind=claimed.kind, now=self._clock.now()
        )


def _outcome(mailed: list[UUID], refused: list[str], delayed: list[str], *, of: int) -> Outcome:
    if delayed:
        return Outcome(state=State.PENDING, reason=delayed[0], mailed_to=tuple(mailed))
    if refused and len(refused) == of:
        return Outcome(state=State.FAILED, reason=refused[0], mailed_to=tuple(mailed))
    reason = f"{len(refused)} of {of} not reached: {refused[0]}" if refused else None
    return Outcome(state=State.SENT, reason=reason, mailed_to=tuple(mailed))
