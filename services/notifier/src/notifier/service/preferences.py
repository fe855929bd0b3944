"""What people choose about their mails, and what ends them with one click."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from notifier.adapters.keys import UnsubscribeLinks
from notifier.domain.choosing import DIGEST, MailChoice
from notifier.domain.kinds import CHOOSABLE, KINDS, Kind
from notifier.domain.schedules import Schedule
from notifier.errors import KindForbiddenError, KindRequiredError, UnknownKindError, UnknownLinkError
from notifier.repository import people


@dataclass(frozen=True, slots=True)
class Preference:
    """One kind and how somebody gets it by mail; owners get a kind unless they choose otherwise, others if they do."""

    kind: Kind
    mail: MailChoice


async def list_preferences(session: AsyncSession, *, account_id: UUID, user_id: UUID, role: str) -> list[Preference]:
    """Every kind that this role may see."""
    chosen = await people.list_preferences(session, account_id=account_id, user_id=user_id)
    usual: MailChoice = "now" if role == "owner" else "off"
    return [
        Preference(kind, chosen.get(kind.name, usual) if kind.optional or role != "owner" else "now")
        for kind in CHOOSABLE
        if role in kind.roles
    ]


async def choose(
    session: AsyncSession, kind_name: str, mail: MailChoice, *, account_id: UUID, user_id: UUID, role: str
) -> Preference:
    """Owners keep what is required: somebody must hear of a failed payment."""
    kind = next((kind for kind in CHOOSABLE if kind.name == kind_name), None)
    if kind is None:
        raise UnknownKindError("There is no such kind of notice.", field="kind")
    if role not in kind.roles:
        raise KindForbiddenError(f"The role {role} does not see notices of this kind.")
    if not kind.optional and role == "owner" and mail != "now":
        raise KindRequiredError("Owners always get notices of this kind at once.", field="mail")
    if not kind.optional and mail == "digest":
        raise KindRequiredError("Notices of this kind are not collected.", field="mail")
    await people.upsert_preference(session, account_id=account_id, user_id=user_id, kind=kind.name, mail=mail)
    return Preference(kind, mail)


async def find_schedule(session: AsyncSession, user_id: UUID) -> Schedule:
    return (await people.list_schedules(session, [user_id])).get(user_id, Schedule())


async def set_schedule(session: AsyncSession, user_id: UUID, schedule: Schedule) -> None:
    await people.upsert_schedule(session, user_id, schedule)


async def forget(session: AsyncSession, user_id: UUID) -> None:
    """A user who was deleted leaves nothing here."""
    await people.delete_person(session, user_id)


def kind_of_link(links: UnsubscribeLinks, token: str) -> Kind:
    """What a link would end; raises `UnknownLinkError` for one that is none of ours."""
    return _read(links, token)[0]


async def unsubscribe(session: AsyncSession, links: UnsubscribeLinks, token: str) -> Kind:
    """Switch off what the link names; doing it again changes nothing."""
    kind, user_id, account_id = _read(links, token)
    if kind.name == DIGEST:
        await people.end_digest(session, account_id=account_id, user_id=user_id)
    else:
        await people.upsert_preference(session, account_id=account_id, user_id=user_id, kind=kind.name, mail="off")
    return kind


def _read(links: UnsubscribeLinks, token: str) -> tuple[Kind, UUID, UUID]:
    found = links.read(token)
    if found is None or found[2] not in KINDS:
        raise UnknownLinkError("This link is incomplete, or none of ours.", field="token")
    user_id, account_id, kind = found
    return KINDS[kind], user_id, account_id
