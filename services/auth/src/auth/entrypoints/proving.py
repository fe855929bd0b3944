"""Who is signed in proves once more that it is them, before something that could lock them out."""

from auth.domain.audit import Acting
from auth.entrypoints.parts import Parts
from auth.errors import CodeRequiredError, WrongCodeError
from auth.schemas.passwords import Proof
from auth.service import passwords


async def prove(parts: Parts, acting: Acting, proof: Proof) -> None:
    """Raises `WrongPasswordError` or what is wrong with the code. No transaction is open while argon2 works."""
    async with parts.database.transaction() as session:
        attempt = await passwords.begin_proof(session, acting, limits=parts.limits, now=parts.clock.now())
    verdict = await parts.passwords.verify(attempt.password_hash, proof.password.get_secret_value())
    code = None if proof.code is None else proof.code.get_secret_value()
    async with parts.database.transaction() as session:
        outcome = await passwords.finish_proof(
            session, attempt, verdict, code, second_factors=parts.second_factors, clock=parts.clock
        )
    # Raised after the transaction: the count must be kept.
    if outcome == "needed":
        raise CodeRequiredError("Send a code of your second factor as well.", field="code")
    if outcome == "wrong":
        raise WrongCodeError("The code is wrong, or it was used before.", field="code")
