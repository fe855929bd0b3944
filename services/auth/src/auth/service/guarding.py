"""What a sign-up has to get past besides the limits: no thrown-away address, and a proof if the operator wants it."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.disposable import is_disposable
from auth.adapters.sealing import Keyed
from auth.adapters.siteverify import SiteVerify
from auth.domain.sign_up_proof import SOLUTION_CHARS, WORK_S, ProofKind, is_solved
from auth.errors import DisposableAddressError, SignUpProofError
from auth.repository import passkeys

_PURPOSE: Final = "sign-up-work"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUpGuard:
    """The rules of this installation. A challenge is signed by `keyed`, so that nothing is kept before it is solved."""

    kind: ProofKind
    bits: int
    refuse_disposable: bool
    captcha: SiteVerify | None
    keyed: Keyed

    def check_address(self, address_normal: str) -> None:
        """Raises `DisposableAddressError`."""
        if self.refuse_disposable and is_disposable(address_normal):
            raise DisposableAddressError("Addresses of this domain are thrown away; use another one.", field="email")

    def challenge(self, *, now: datetime) -> str:
        """Something to work on, until its time is over."""
        until = int((now + timedelta(seconds=WORK_S)).timestamp())
        return self._signed(f"{until}.{secrets.token_urlsafe(16)}")

    async def check_captcha(self, proof: str | None, *, network: str) -> None:
        """Outside any transaction, for it asks another server."""
        if self.captcha is not None and not (proof and await self.captcha.passed(proof, network=network)):
            raise SignUpProofError("Solve the captcha and send its answer as `proof`.", field="proof")

    async def check_work(self, session: AsyncSession, proof: str | None, *, now: datetime) -> None:
        """Raises `SignUpProofError`; a good solution is used up."""
        if self.kind != "proof_of_work":
            return
        challenge, _, solution = (proof or "").rpartition(".")
        until = self._until(challenge)
        if until is None or until <= now.timestamp() or len(solution) > SOLUTION_CHARS:
            raise SignUpProofError("Ask for a challenge, and send it with its solution as `proof`.", field="proof")
        if not is_solved(challenge, solution, bits=self.bits):
            raise SignUpProofError("The solution of the challenge is wrong.", field="proof")
        expires_at = now + timedelta(seconds=WORK_S)
        digest = self.keyed.digest("used", challenge)
        if not await passkeys.insert_challenge(session, digest, purpose=_PURPOSE, user_id=None, expires_at=expires_at):
            raise SignUpProofError("This solution was used before.", field="proof")

    def _signed(self, text: str) -> str:
        return f"{text}.{self.keyed.digest('challenge', text).hex()}"

    def _until(self, challenge: str) -> int | None:
        """When the challenge ends, if it is one of ours."""
        text = challenge.rpartition(".")[0]
        number = text.partition(".")[0]
        if not secrets.compare_digest(self._signed(text).encode(), challenge.encode()) or not number.isdecimal():
            return None
        return int(number)
