"""Counting attempts, so that guessing gets slow and mails stay few."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.sealing import Keyed
from auth.domain.limits import (
    ADDRESS,
    ADDRESS_ON_NETWORK,
    CHALLENGES_FROM_NETWORK,
    CODE,
    DEVICES_FROM_NETWORK,
    EXCHANGES_OF_SUBJECT,
    LEAKS_FROM_NETWORK,
    MAILS_FROM_NETWORK,
    MAILS_TO_ADDRESS,
    NETWORK,
    USER_CODE,
    Bucket,
    DelayPolicy,
)
from auth.errors import TooManyAttemptsError
from auth.repository import limits

MailPurpose = Literal["sign-up", "reset", "change", "invitation", "magic-link"]

_POLICIES: Final[dict[str, DelayPolicy]] = {
    "address on network": ADDRESS_ON_NETWORK,
    "address": ADDRESS,
    "network": NETWORK,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of this installation; `keyed` hides addresses in the counters' keys."""

    keyed: Keyed
    sign_ups: Bucket

    async def count_sign_in(self, session: AsyncSession, *, address: str, network: str, now: datetime) -> None:
        """Count an attempt before it is judged; raises `TooManyAttemptsError` when it comes too soon."""
        await _count(session, self._keys(address=address, network=network), now=now)

    async def refund_sign_in(self, session: AsyncSession, *, address: str, network: str) -> None:
        await limits.refund_failures(session, list(self._keys(address=address, network=network)))

    async def count_code(self, session: AsyncSession, *, user_id: UUID, now: datetime) -> None:
        """The same for codes of the second factor: by user alone, for only who knows the password gets there."""
        await _count(session, {self._code_key(user_id): CODE}, now=now)

    async def refund_code(self, session: AsyncSession, *, user_id: UUID) -> None:
        await limits.refund_failures(session, [self._code_key(user_id)])

    def _code_key(self, user_id: UUID) -> bytes:
        return self.keyed.digest("code", str(user_id))

    async def count_user_code(self, session: AsyncSession, *, user_id: UUID, now: datetime) -> None:
        """For codes that devices show: who tries many is looking for somebody else's (RFC 8628, 5.1)."""
        await _count(session, {self._user_code_key(user_id): USER_CODE}, now=now)

    async def refund_user_code(self, session: AsyncSession, *, user_id: UUID) -> None:
        await limits.refund_failures(session, [self._user_code_key(user_id)])

    def _user_code_key(self, user_id: UUID) -> bytes:
        return self.keyed.digest("user-code", str(user_id))

    async def take_device(self, session: AsyncSession, *, network: str, now: datetime) -> None:
        """For programs that begin to wait: each takes one of the codes that people type."""
        wait_s = await limits.take(session, self.keyed.digest("device", network), DEVICES_FROM_NETWORK, now=now)
        if wait_s:
            raise TooManyAttemptsError(f"Too many devices are waiting; try again in {wait_s} s.", retry_after_s=wait_s)

    def of_issuer(self, sign_ups_per_hour: int | None) -> "Limits":
        """Where an issuer has a limit of its own: its server may exchange the tokens of all its users."""
        return self if sign_ups_per_hour is None else replace(self, sign_ups=Bucket(sign_ups_per_hour, 3600.0))

    async def take_sign_up(self, session: AsyncSession, *, network: str, now: datetime) -> None:
        """For users and accounts that are made, by whichever way somebody comes."""
        wait_s = await limits.take(session, self.keyed.digest("sign-up", network), self.sign_ups, now=now)
        if wait_s:
            raise TooManyAttemptsError(
                f"Too many registrations from this network; try again in {wait_s} s.", retry_after_s=wait_s
            )

    async def take_mail_request(self, session: AsyncSession, *, network: str, now: datetime) -> None:
        """For mails that anybody may ask for."""
        wait_s = await limits.take(session, self.keyed.digest("mail-network", network), MAILS_FROM_NETWORK, now=now)
        if wait_s:
            raise TooManyAttemptsError(f"Too many mails were asked for; try again in {wait_s} s.", retry_after_s=wait_s)

    async def take_leak_report(self, session: AsyncSession, *, network: str, now: datetime) -> None:
        wait_s = await limits.take(session, self.keyed.digest("leak-network", network), LEAKS_FROM_NETWORK, now=now)
        if wait_s:
            raise TooManyAttemptsError(f"Too many reports; try again in {wait_s} s.", retry_after_s=wait_s)

    async def take_challenge(self, session: AsyncSession, *, network: str, now: datetime) -> None:
        """For what anybody may begin and what waits in the database until it is finished."""
        key = self.keyed.digest("challenge-network", network)
        wait_s = await limits.take(session, key, CHALLENGES_FROM_NETWORK, now=now)
        if wait_s:
            raise TooManyAttemptsError(f"Too many sign-ins were begun; try again in {wait_s} s.", retry_after_s=wait_s)

    async def take_exchange(self, session: AsyncSession, *, issuer: str, subject: str, now: datetime) -> None:
        key = self.keyed.digest("exchange", issuer, subject)
        wait_s = await limits.take(session, key, EXCHANGES_OF_SUBJECT, now=now)
        if wait_s:
            raise TooManyAttemptsError(f"Too many exchanges; try again in {wait_s} s.", retry_after_s=wait_s)

    async def wait_for_mail_s(self, session: AsyncSession, *, address: str, purpose: MailPurpose, now: datetime) -> int:
        """0 when a mail may go to this address now. By purpose, so that no invitation keeps a reset from its owner."""
        return await limits.take(session, self.keyed.digest("mail", purpose, address), MAILS_TO_ADDRESS, now=now)

    def _keys(self, *, address: str, network: str) -> dict[bytes, DelayPolicy]:
        subjects = {"address on network": f"{address} {network}", "address": address, "network": network}
        return {self.keyed.digest("sign-in", name, subjects[name]): policy for name, policy in _POLICIES.items()}


async def _count(session: AsyncSession, keys: dict[bytes, DelayPolicy], *, now: datetime) -> None:
    known = await limits.lock_failures(session, list(keys), now=now)
    wait_s = max(known[key].wait_s(now) for key in keys)
    if wait_s:
        raise TooManyAttemptsError(f"Too many attempts; try again in {wait_s} s.", retry_after_s=wait_s)
    counted = {key: policy.after(known[key], now=now) for key, policy in keys.items()}
    await limits.update_failures(session, counted)
