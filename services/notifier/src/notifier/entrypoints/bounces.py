"""Bounces and complaints, told by the webhook of whoever delivers the operator's mails."""

import hmac

from fastapi import APIRouter, Request

from kit.identity import bearer
from kit.tokens import InvalidTokenError
from notifier.entrypoints.parts import PartsDep, refusals
from notifier.schemas.bounces import BouncesAnswer, BouncesRequest

router = APIRouter(tags=["operators"])


@router.post("/notifications/bounces", summary="Say which addresses bounced", responses=refusals())
async def note_bounces(body: BouncesRequest, request: Request, parts: PartsDep) -> BouncesAnswer:
    """Needs the token of `FAREGATE_NOTIFIER_BOUNCE_TOKEN`; addresses are kept as keyed hashes only."""
    given, expected = bearer(request), parts.bounce_token
    if expected is None or not hmac.compare_digest(given.encode(), expected.get_secret_value().encode()):
        raise InvalidTokenError("This is not the token for bounces.")
    suppressed = 0
    async with parts.database.transaction() as session:
        for bounce in body.bounces:
            suppressed += await parts.suppression.note(session, bounce.address.get_secret_value(), bounce.type)
    return BouncesAnswer(suppressed=suppressed)
