"""The second factor: set up, asked for, replaced by a recovery code, taken away."""

import secrets
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters import totp as codes
from auth.adapters.sealing import Keyed, Sealer
from auth.domain.audit import Acting
from auth.domain.second_factors import RECOVERY_CODES, Totp, plain_recovery_code
from auth.errors import NoSecondFactorError, SecondFactorExistsError, WrongCodeError
from auth.repository import second_factors, users
from auth.service import audit
from auth.service.limits import Limits
from auth.service.messages import request_message
from kit.clock import Clock

Outcome = Literal["passed", "needed", "wrong"]
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_HALF: Final = 6


@dataclass(frozen=True, slots=True)
class SecondFactors:
    """What judges codes: `sealer` opens secrets, `keyed` hides recovery codes, `limits` slow guessing down."""

    sealer: Sealer
    keyed: Keyed
    limits: Limits

    async def judge(self, session: AsyncSession, user_id: UUID, code: str | None, *, clock: Clock) -> Outcome:
        """Ask for the second factor of a user whose password was right; the caller commits whatever comes out.

        Guesses are counted for the user alone: only who knows the password gets here. Raises `TooManyAttemptsError`.
        """
        totp = await second_factors.find_totp(session, user_id)
        if totp is None or totp.confirmed_at is None:
            return "passed"
        if code is None:
            return "needed"
        await self.limits.count_code(session, user_id=user_id, now=clock.now())
        if not (
            await self._use_code(session, totp, code, clock=clock) or await self._recover(session, totp, code, clock)
        ):
            return "wrong"
        await self.limits.refund_code(session, user_id=user_id)
        return "passed"

    async def begin(self, session: AsyncSession, acting: Acting, *, clock: Clock) -> tuple[str, str]:
        """A new secret that waits for its first code, and the same as a URI for apps."""
        user = await users.get_user(session, acting.user_id)
        secret = codes.new_secret()
        sealed = self.sealer.seal(secret.encode(), name=_name(user.id))
        if not await second_factors.insert_totp(session, Totp(user.id, sealed, 0, None, clock.now())):
            raise SecondFactorExistsError("There is a second factor already; remove it first.")
        return secret, codes.enrolment_uri(secret, address=user.address)

    async def confirm(self, session: AsyncSession, acting: Acting, code: str, *, clock: Clock) -> list[str]:
        """From now on codes are asked for; returns the recovery codes, which are shown once."""
        waiting = await second_factors.find_totp(session, acting.user_id)
        if waiting is None:
            raise NoSecondFactorError("Begin with a secret.")
        if waiting.confirmed_at is not None:
            raise SecondFactorExistsError("There is a second factor already; remove it first.")
        if not await self._use_code(session, waiting, code, clock=clock):
            raise WrongCodeError("The code is wrong, or it was used before.", field="code")
        await second_factors.update_confirmed(session, acting.user_id, now=clock.now())
        await self._told(session, acting, "second_factor.added", clock=clock)
        return await self._new_recovery_codes(session, acting.user_id, clock=clock)

    async def renew_recovery_codes(self, session: AsyncSession, acting: Acting, *, clock: Clock) -> list[str]:
        """New ones in place of all old ones, for who has just proved the second factor."""
        totp = await second_factors.find_totp(session, acting.user_id)
        if totp is None or totp.confirmed_at is None:
            raise NoSecondFactorError("There is no second factor.")
        await self._told(session, acting, "recovery_codes.renewed", clock=clock)
        return await self._new_recovery_codes(session, acting.user_id, clock=clock)

    async def remove(self, session: AsyncSession, acting: Acting, *, clock: Clock) -> None:
        """For who has just proved it."""
        if not await second_factors.delete_second_factor(session, acting.user_id):
            raise NoSecondFactorError("There is no second factor.")
        await self._told(session, acting, "second_factor.removed", clock=clock)

    async def _use_code(self, session: AsyncSession, totp: Totp, code: str, *, clock: Clock) -> bool:
        secret = self.sealer.open(totp.secret_sealed, name=_name(totp.user_id)).decode()
        step = codes.matching_step(secret, code.replace(" ", ""), now=clock.now(), after=totp.last_step)
        return step is not None and await second_factors.update_used_step(session, totp.user_id, step=step)

    async def _recover(self, session: AsyncSession, totp: Totp, code: str, clock: Clock) -> bool:
        digest = self._digest(totp.user_id, code)
        used = await second_factors.use_recovery_code(session, totp.user_id, digest, now=clock.now())
        if used:
            await request_message(session, "second-factor-changed", user_id=totp.user_id, clock=clock)
        return used

    async def _new_recovery_codes(self, session: AsyncSession, user_id: UUID, *, clock: Clock) -> list[str]:
        made = [f"{_half()}-{_half()}" for _ in range(RECOVERY_CODES)]
        digests = [self._digest(user_id, one) for one in made]
        await second_factors.replace_recovery_codes(session, user_id, digests, now=clock.now())
        return made

    def _digest(self, user_id: UUID, code: str) -> bytes:
        return self.keyed.digest(str(user_id), plain_recovery_code(code))

    async def _told(self, session: AsyncSession, acting: Acting, action: str, *, clock: Clock) -> None:
        await request_message(session, "second-factor-changed", user_id=acting.user_id, clock=clock)
        await audit.record(session, action, by=acting.actor, target=("user", acting.user_id), clock=clock)


def _name(user_id: UUID) -> str:
    return f"totp:{user_id}"


def _half() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_HALF))
