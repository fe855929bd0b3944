"""Reports of leaked keys. Whoever has a key may report it: that somebody else has it is the proof."""

import base64
import hashlib
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import Field

from auth.domain.audit import Actor
from auth.entrypoints.parts import PartsDep, forget_key, network_of, refusals
from auth.schemas.keys import LEAKS_AT_ONCE, LeakAnswer, LeakReport
from auth.service import leaks

router = APIRouter(prefix="/auth", tags=["api keys"])

Reports = Annotated[list[LeakReport], Body(), Field(min_length=1, max_length=LEAKS_AT_ONCE)]


@router.post("/leaks", summary="Report API keys that were found in public", responses=refusals(429))
async def report_leaks(request: Request, reports: Reports, parts: PartsDep) -> list[LeakAnswer]:
    """Takes the form of secret-scanning partners. A key of ours is revoked at once, and its owner told."""
    actor = Actor(kind="anybody", network=network_of(request, parts.trusted_proxies))
    answers = []
    for report in reports:
        text = report.token.get_secret_value()
        async with parts.database.transaction() as session:
            key = await leaks.report(session, text, actor=actor, limits=parts.limits, clock=parts.clock)
        if key is not None:
            forget_key(parts, key.id)
        digest = base64.b64encode(hashlib.sha256(text.encode(errors="replace")).digest()).decode()
        answers.append(LeakAnswer(token_hash=digest, label="true_positive" if key else "false_positive"))
    return answers
