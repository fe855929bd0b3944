"""What the caller wants to be told in their account, how, and when not."""

from typing import Annotated

from fastapi import APIRouter, Path

from kit.identity import CallerDep
from notifier.entrypoints.parts import LanguageDep, PartsDep, refusals
from notifier.schemas.preferences import ChoiceRequest, PreferenceAnswer, PreferencesAnswer, ScheduleBody
from notifier.service import preferences

router = APIRouter(tags=["preferences"])


@router.get("/notifications/preferences", summary="What the caller gets by mail", responses=refusals())
async def list_preferences(parts: PartsDep, caller: CallerDep, language: LanguageDep) -> PreferencesAnswer:
    """Owners get every kind unless they choose otherwise, other members what they choose."""
    async with parts.database.reading() as session:
        found = await preferences.list_preferences(
            session, account_id=caller.account_id, user_id=caller.user_id, role=caller.role
        )
    return PreferencesAnswer(preferences=[PreferenceAnswer.of(one, language=language) for one in found])


@router.put("/notifications/preferences/{kind}", summary="Choose for one kind", responses=refusals(403, 404))
async def choose(
    kind: Annotated[str, Path(max_length=60)],
    body: ChoiceRequest,
    parts: PartsDep,
    *,
    caller: CallerDep,
    language: LanguageDep,
) -> PreferenceAnswer:
    async with parts.database.transaction() as session:
        chosen = await preferences.choose(
            session,
            kind,
            body.mail,
            account_id=caller.account_id,
            user_id=caller.user_id,
            role=caller.role,
        )
    return PreferenceAnswer.of(chosen, language=language)


@router.get("/notifications/schedule", summary="The caller's quiet hours and digest", responses=refusals())
async def get_schedule(parts: PartsDep, caller: CallerDep) -> ScheduleBody:
    async with parts.database.reading() as session:
        return ScheduleBody.of(await preferences.find_schedule(session, caller.user_id))


@router.put("/notifications/schedule", summary="Set quiet hours and digest", responses=refusals())
async def set_schedule(body: ScheduleBody, parts: PartsDep, caller: CallerDep) -> ScheduleBody:
    """They hold in all accounts of the caller; urgent notices come at any hour."""
    async with parts.database.transaction() as session:
        await preferences.set_schedule(session, caller.user_id, body.schedule())
    return body
