"""The SDK's errors in our words; none of them carries an address or a key into a log."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import stripe

from billing.adapters.shapes import card_of
from billing.errors import (
    CardDeclinedError,
    StripeMissingError,
    StripeRefusedError,
    StripeUnavailableError,
)
from kit import logging

log = logging.get(__name__)

RETRY_AFTER_S: Final = 5


@contextmanager
def stripe_errors() -> Iterator[None]:
    """Whatever Stripe or the way there says, as an error of ours."""
    try:
        yield
    except stripe.InvalidRequestError as error:
        if error.code == "resource_missing":
            raise StripeMissingError("Stripe does not have this object.") from error
        raise StripeRefusedError(f"Stripe refused the request ({error.code}: {error.param}).") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("billing.stripe_key_refused", kind=type(error).__name__)  # noqa: TRY400  # the trace may show the request
        raise StripeUnavailableError("Payments are not available at the moment.", retry_after_s=60) from error
    except stripe.CardError as error:
        raise _declined(error) from error
    except stripe.IdempotencyError as error:
        raise StripeRefusedError("Stripe refused the request (IdempotencyError).") from error
    except stripe.StripeError as error:
        # Rate limits, lost connections, time-outs and Stripe's own faults: all pass with time.
        log.warning("billing.stripe_not_available", kind=type(error).__name__, status=error.http_status)
        raise StripeUnavailableError("Stripe does not answer; try again later.", retry_after_s=RETRY_AFTER_S) from error


def _declined(error: stripe.CardError) -> CardDeclinedError:
    body: Mapping[str, Any] = error.json_body if isinstance(error.json_body, Mapping) else {}
    told = body.get("error", {})
    reason = str(told.get("decline_code") or error.code or "card_declined")
    payment_id = (told.get("payment_intent") or {}).get("id")
    card = card_of(told.get("payment_method"))
    detail = f"The {card} was declined ({reason})." if card else f"The payment was declined ({reason})."
    shown = {"brand": card.brand, "last4": card.last4} if card else None
    return CardDeclinedError(detail, reason=reason, payment_id=payment_id, card=shown)
