"""From what an outside issuer says to a user of ours: by issuer and subject, never by an address alone."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Actor
from auth.domain.outside import Identity, Vouched
from auth.domain.people import User
from auth.errors import IdentityTakenError, LastWayInError, NobodyKnownError, UnknownIdentityError
from auth.repository import identities, users
from auth.service import audit
from auth.service.limits import Limits
from auth.service.messages import request_message
from auth.service.registering import Activation, NewUser, create_user
from kit.clock import Clock
from kit.ids import uuid7


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSight:
    """What happens to somebody new: whether a user is made, with which address, what that starts and how often."""

    create: bool
    address: tuple[str, str] | None
    activation: Activation
    limits: Limits


async def recognize(session: AsyncSession, vouched: Vouched, first: FirstSight, *, network: str, clock: Clock) -> UUID:
    """The user whom an issuer vouches for, known before, known by a verified address, or made now."""
    known = await identities.find_identity(session, issuer=vouched.issuer, subject=vouched.subject)
    if known is not None:
        await identities.update_used(session, known.id, now=clock.now())
        return known.user_id
    if first.address is None:
        raise NobodyKnownError("The provider vouches for no address; sign in another way and link it.")
    user = await _by_address(session, first, vouched, network=network, clock=clock)
    actor = Actor(kind="user", user_id=user.id, network=network)
    if not await _link(session, user.id, vouched, by=actor, clock=clock):
        # Two first sign-ins at once: the other one was quicker.
        return await recognize(session, vouched, first, network=network, clock=clock)
    return user.id


async def _by_address(
    session: AsyncSession, first: FirstSight, vouched: Vouched, *, network: str, clock: Clock
) -> User:
    """A user made with the address, or the one who has it if both sides have verified it."""
    assert first.address is not None
    address, normal = first.address
    user = await users.find_user_by_address(session, normal)
    if user is None and first.create:
        await first.limits.take_sign_up(session, network=network, now=clock.now())
        new = NewUser(address=address, address_normal=normal, password_hash=None, verified=True)
        made = await create_user(session, new, activation=first.activation, clock=clock)
        user = made or await users.find_user_by_address(session, normal)
        if made is not None:
            return made
    if user is None:
        raise NobodyKnownError("There is no user for this sign-in, and none is made.")
    # An unconfirmed address may be a trap that somebody laid; an operator links from a session only.
    if user.verified_at is None or user.state != "active" or user.operator:
        raise NobodyKnownError("There is a user with this address; sign in there another way and link it.")
    return user


async def link(session: AsyncSession, user_id: UUID, vouched: Vouched, *, network: str, clock: Clock) -> None:
    """For who is signed in and has just come back from the issuer; nothing happens when it is linked already."""
    known = await identities.find_identity(session, issuer=vouched.issuer, subject=vouched.subject)
    if known is not None and known.user_id == user_id:
        return
    actor = Actor(kind="user", user_id=user_id, network=network)
    if known is not None or not await _link(session, user_id, vouched, by=actor, clock=clock):
        raise IdentityTakenError("This identity belongs to another user.")


async def unlink(session: AsyncSession, user_id: UUID, identity_id: UUID, *, by: Actor, clock: Clock) -> None:
    await users.lock_user(session, user_id)
    if not await identities.delete_identity(session, user_id, identity_id):
        raise UnknownIdentityError("You have no such identity.")
    await check_way_in(session, user_id)
    await told(session, "identity.unlinked", user_id, identity_id, by=by, clock=clock)


async def check_way_in(session: AsyncSession, user_id: UUID) -> None:
    """After something was taken away, under the user's lock: a way in must be left."""
    if await identities.count_ways_in(session, user_id) == 0:
        raise LastWayInError("This is your last way in; set a password or add another way first.")


async def list_identities(session: AsyncSession, user_id: UUID) -> list[Identity]:
    return await identities.list_identities(session, user_id)


async def told(session: AsyncSession, action: str, user_id: UUID, target_id: UUID, *, by: Actor, clock: Clock) -> None:
    """A way to sign in came or went: its user gets a mail, the log an entry."""
    await request_message(session, "sign-in-changed", user_id=user_id, clock=clock)
    about = (None, {"id": str(target_id)})
    await audit.record(session, action, by=by, target=("user", user_id), clock=clock, change=about)


async def _link(session: AsyncSession, user_id: UUID, vouched: Vouched, *, by: Actor, clock: Clock) -> bool:
    now = clock.now()
    identity = Identity(
        uuid7(clock), user_id, vouched.provider, vouched.issuer, vouched.subject, created_at=now, last_used_at=now
    )
    if not await identities.insert_identity(session, identity):
        return False
    await told(session, "identity.linked", user_id, identity.id, by=by, clock=clock)
    return True
