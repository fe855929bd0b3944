"""The same key with the same request gets the same answer; with another request it is refused."""

import hashlib
import json
from dataclasses import dataclass

from sandbox.stripe.errors import IdempotencyError, ParameterError
from sandbox.stripe.forms import Branch, flatten
from sandbox.stripe.store import Answer, Store

KEPT_S = 24 * 3600
MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Claim:
    """A key and what it stands for."""

    key: str
    route: str
    fingerprint: str


def claim_for(key: str | None, *, method: str, path: str, raw: Branch) -> Claim | None:
    """Stripe heeds keys on POST only; every other method repeats safely by itself."""
    if key is None or method != "POST":
        return None
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ParameterError(f"Idempotency keys must have 1 to {MAX_KEY_LENGTH} characters.")
    digest = hashlib.sha256(json.dumps(flatten(raw)).encode()).hexdigest()
    return Claim(key=key, route=f"{method} {path}", fingerprint=digest)


def find_answer(store: Store, claim: Claim, *, now: int) -> Answer | None:
    """What the key was answered with; after a day Stripe may have forgotten, so this stand-in has."""
    store.delete_answers_before(now - KEPT_S)
    answer = store.find_answer(claim.key)
    if answer is None:
        return None
    advice = f"Try using a key other than '{claim.key}' if you meant to execute a different request."
    if answer.route != claim.route:
        message = f"Keys for idempotent requests can only be used for the endpoint they were first used for. {advice}"
        raise IdempotencyError(message)
    if answer.fingerprint != claim.fingerprint:
        message = f"Keys for idempotent requests can only be used with the same parameters as first. {advice}"
        raise IdempotencyError(message)
    return answer
