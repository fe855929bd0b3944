"""Whether a webhook's bytes are Stripe's, and from now."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import stripe

from billing.errors import ForgedWebhookError

TOLERANCE_S: Final = 300.0


def verified_event(payload: bytes, header: str | None, *, secrets: Sequence[str], now_s: float) -> Mapping[str, Any]:
    """The event in a signed body; raises `ForgedWebhookError`. Any of the secrets may have signed.

    Both bounds on time are ours: the SDK refuses old timestamps only, and by a clock that is not injected.
    """
    if not header:
        raise ForgedWebhookError("there is no Stripe-Signature header")
    event = _signed_by_any(payload, header, secrets)
    if abs(now_s - _signed_at_s(header)) > TOLERANCE_S:
        raise ForgedWebhookError("the signature is not from the last five minutes")
    return event


def _signed_by_any(payload: bytes, header: str, secrets: Sequence[str]) -> Mapping[str, Any]:
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(payload.decode(), header, secret, tolerance=None)
        except stripe.SignatureVerificationError:
            continue
        except ValueError as error:
            raise ForgedWebhookError("the body is not text") from error
        return _event_in(payload)
    raise ForgedWebhookError("no secret of ours signed this body")


def _event_in(payload: bytes) -> Mapping[str, Any]:
    """A whole event or a thin one: the SDK reads each by another method and refuses the other."""
    try:
        body = json.loads(payload)
    except ValueError as error:
        raise ForgedWebhookError("the body is not JSON") from error
    if not isinstance(body, dict) or body.get("object") not in {"event", "v2.core.event"}:
        raise ForgedWebhookError("the body is not an event")
    return body


def _signed_at_s(header: str) -> int:
    """The signed time. Two of them, or an odd one, are refused: the SDK would verify one and we would trust another."""
    stamps = [part.partition("=")[2] for part in header.split(",") if part.strip().partition("=")[0] == "t"]
    if len(stamps) != 1 or not stamps[0].isdecimal() or len(stamps[0]) > 12:
        raise ForgedWebhookError("the signature's time cannot be read")
    return int(stamps[0])
