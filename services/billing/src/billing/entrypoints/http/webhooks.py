"""Where Stripe tells us that something changed: verified over the raw bytes, stored once, answered, applied later."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response

from billing import metrics
from billing.adapters.shapes import event_of, shaped
from billing.adapters.signatures import verified_event
from billing.entrypoints.intake import Intake
from billing.errors import ForgedWebhookError, StripeShapeError
from billing.schemas.buying import Received
from kit import logging
from kit.clock import Clock
from kit.http import problem

log = logging.get(__name__)


@dataclass(frozen=True, slots=True)
class WebhookDoor:
    """Which secrets may sign, and who stores what they signed."""

    secrets: Sequence[str] = field(repr=False)
    intake: Intake


router = APIRouter(prefix="/billing/webhooks", tags=["webhooks"])


@router.post("/stripe", response_model=Received, summary="Stripe's webhooks; the signature is the credential")
async def receive_webhook(request: Request) -> Response | Received:
    door: WebhookDoor = request.app.state.webhook_door
    clock: Clock = request.app.state.clock
    payload = await request.body()
    try:
        body = verified_event(
            payload,
            request.headers.get("stripe-signature"),
            secrets=door.secrets,
            now_s=clock.now().timestamp(),
        )
        event = shaped(event_of, body)
    except (ForgedWebhookError, StripeShapeError) as error:
        metrics.WEBHOOKS_FORGED.inc()
        log.warning("billing.webhook_refused", reason=str(error))
        return problem(request, 400, "invalid_webhook", f"Refused: {error}.")
    await door.intake.store(event)
    return Received()
