"""Who is signed in proves once more that it is them, before something that could lock them out."""

from collections.abc import Mapping

from pydantic import SecretStr

from auth.adapters.passkeys import Credential
from auth.domain.audit import Acting
from auth.entrypoints.parts import Parts
from auth.errors import CodeRequiredError, PasskeyRefusedError, WrongCodeError
from auth.schemas.passwords import Proof
from auth.service import passwords
from auth.service.passkeys import Copied
from auth.service.second_factors import Outcome
from auth.service.stepping_up import ProvedBy


async def prove(parts: Parts, acting: Acting, proof: Proof) -> ProvedBy:
    """Raises what is wrong with password, code or passkey. No transaction is open while argon2 works."""
    if proof.passkey is not None:
        return await _prove_by_passkey(parts, acting, proof.passkey)
    assert proof.password is not None
    code = None if proof.code is None else proof.code.get_secret_value()
    async with parts.passwords.turn():
        outcome = await _judge(parts, acting, proof.password.get_secret_value(), code)
    # Raised after the transaction: the count must be kept.
    if outcome == "needed":
        raise CodeRequiredError("Send a code of your second factor as well.", field="code")
    if outcome == "wrong":
        raise WrongCodeError("The code is wrong, or it was used before.", field="code")
    return "password"


async def _judge(parts: Parts, acting: Acting, password: str, code: str | None) -> Outcome:
    async with parts.database.transaction() as session:
        attempt = await passwords.begin_proof(session, acting, limits=parts.limits, now=parts.clock.now())
    verdict = await parts.passwords.verify(attempt.password_hash, password)
    async with parts.database.transaction() as session:
        return await passwords.finish_proof(
            session, attempt, verdict, code, second_factors=parts.second_factors, clock=parts.clock
        )


async def _prove_by_passkey(parts: Parts, acting: Acting, credential: Credential) -> ProvedBy:
    async with parts.database.transaction() as session:
        used = await parts.passkeys.use(
            session,
            credential,
            purpose="passkey-prove",
            user_id=acting.user_id,
            network=acting.network,
            clock=parts.clock,
        )
    # Raised after the transaction: its user must be told.
    if isinstance(used, Copied):
        raise PasskeyRefusedError("This passkey is refused: there seems to be a copy of it.", field="passkey")
    return "passkey"


def proof_of(form: Mapping[str, str]) -> Proof:
    """As a page's form says it; an empty password is a wrong one."""
    password, code = form.get("password", "")[:512] or " ", form.get("code", "").strip()[:32]
    return Proof(password=SecretStr(password), code=SecretStr(code) if len(code) >= 6 else None)
