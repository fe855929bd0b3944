"""A token that is valid by its dates is refused when its session, user, membership or key has ended."""

import sys
from dataclasses import replace
from datetime import timedelta
from typing import Literal
from uuid import uuid4

import pytest

from contracts.auth import ApiKeyChanged, MemberChanged, SessionRevoked, UserChanged
from kit.clock import ManualClock
from kit.identity import Revocations, RevokedError, UserStanding
from kit.tokens import Caller

NOW = ManualClock().now()
CALLER = Caller(
    user_id=uuid4(),
    account_id=uuid4(),
    role="owner",
    operator=False,
    session_id=uuid4(),
    api_key_id=uuid4(),
    project_id=None,
    plan=None,
    scopes=(),
    expires_at=NOW + timedelta(minutes=10),
)


@pytest.fixture
def revocations() -> Revocations:
    return Revocations()


def user(version: int, state: Literal["active", "disabled"], *, operator: bool = False) -> UserChanged:
    return UserChanged(id=uuid4(), time=NOW, user_id=CALLER.user_id, version=version, state=state, operator=operator)


def member(version: int, state: Literal["active", "removed"], role: Literal["owner", "user"]) -> MemberChanged:
    return MemberChanged(
        id=uuid4(),
        time=NOW,
        account_id=CALLER.account_id,
        user_id=CALLER.user_id,
        version=version,
        state=state,
        role=role,
    )


def api_key(state: Literal["active", "revoked"]) -> ApiKeyChanged:
    assert CALLER.api_key_id is not None
    return ApiKeyChanged(
        id=uuid4(),
        time=NOW,
        account_id=CALLER.account_id,
        api_key_id=CALLER.api_key_id,
        user_id=CALLER.user_id,
        version=1,
        state=state,
        key_sha256="0" * 64,
    )


def test_a_caller_of_whom_nothing_is_known_passes_as_the_token_says(revocations: Revocations) -> None:
    assert revocations.check(CALLER) == CALLER


def test_an_ended_session_is_refused_and_another_one_is_not(revocations: Revocations) -> None:
    assert CALLER.session_id is not None
    revocations.on_session(
        SessionRevoked(
            id=uuid4(), time=NOW, session_id=CALLER.session_id, user_id=CALLER.user_id, expires_at=CALLER.expires_at
        )
    )

    with pytest.raises(RevokedError):
        revocations.check(CALLER)
    assert revocations.check(replace(CALLER, session_id=uuid4()))
    assert revocations.check(replace(CALLER, session_id=None))


def test_a_disabled_user_is_refused_even_when_older_news_come_later(revocations: Revocations) -> None:
    revocations.on_user(user(2, "disabled"))
    revocations.on_user(user(1, "active"))

    with pytest.raises(RevokedError):
        revocations.check(CALLER)

    revocations.on_user(user(3, "active", operator=True))
    assert revocations.check(CALLER).operator


def test_a_program_never_becomes_an_operator_with_its_user(revocations: Revocations) -> None:
    revocations.on_user(user(2, "active", operator=True))

    assert revocations.check(CALLER).operator
    assert not revocations.check(replace(CALLER, client_id="editor")).operator


def test_a_bounded_token_is_for_its_routes_and_what_is_below_them() -> None:
    bounded = replace(CALLER, scopes=("route:/v1", "route:/ledger/balance", "model:x"))

    assert [bounded.may_ask(one) for one in ("/v1", "/v1/messages", "/ledger/balance")] == [True] * 3
    assert [bounded.may_ask(one) for one in ("/v1x", "/ledger", "/ledger/balances", "/auth/me")] == [False] * 4
    assert replace(CALLER, scopes=("model:x",)).may_ask("/anything")


def test_a_changed_role_counts_at_once_and_a_removed_member_is_refused(revocations: Revocations) -> None:
    revocations.on_member(member(2, "active", "user"))
    revocations.on_member(member(1, "active", "owner"))
    assert revocations.check(CALLER).role == "user"
    assert revocations.check(replace(CALLER, account_id=uuid4())).role == "owner"

    revocations.on_member(member(3, "removed", "user"))
    with pytest.raises(RevokedError):
        revocations.check(CALLER)


def test_a_revoked_key_is_refused_for_good(revocations: Revocations) -> None:
    revocations.on_key(api_key("active"))
    assert revocations.check(CALLER)

    revocations.on_key(api_key("revoked"))
    revocations.on_key(api_key("active"))

    with pytest.raises(RevokedError):
        revocations.check(CALLER)


def test_an_outcome_may_be_kept_as_long_as_the_generation_stands(revocations: Revocations) -> None:
    assert CALLER.session_id is not None
    generations = [revocations.generation]

    def changed() -> bool:
        generations.append(revocations.generation)
        return generations[-1] != generations[-2]

    revocations.on_user(user(1, "active"))
    revocations.on_member(member(1, "active", "owner"))
    revocations.on_key(api_key("active"))
    assert not changed()
    for _ in range(2):
        revocations.on_user(user(2, "disabled"))
    assert changed()
    revocations.on_user(user(2, "disabled"))
    assert not changed()
    revocations.on_user(user(3, "active"))
    assert changed()
    revocations.on_member(member(2, "active", "user"))
    assert changed()
    revocations.on_key(api_key("revoked"))
    assert changed()
    revocations.end_session(CALLER.session_id, expires_at=NOW, now=NOW)
    assert changed()


def test_rows_as_they_were_made_take_no_memory_and_do_not_undo_later_ones(revocations: Revocations) -> None:
    revocations.on_user(user(1, "disabled"))
    with pytest.raises(RevokedError):
        revocations.check(CALLER)
    revocations.on_user(user(1, "active"))
    with pytest.raises(RevokedError):
        revocations.check(CALLER)

    before = sys.getsizeof(revocations._users)
    for _ in range(10_000):
        revocations.set_user(uuid4(), UserStanding(1, active=True, operator=False))
    assert sys.getsizeof(revocations._users) == before


def test_what_auth_said_of_a_missing_row_gives_way_to_the_topic(revocations: Revocations) -> None:
    revocations.set_user(CALLER.user_id, UserStanding(0, active=False, operator=False))
    with pytest.raises(RevokedError):
        revocations.check(CALLER)

    revocations.on_user(user(1, "active"))
    assert revocations.check(CALLER)


def test_ended_sessions_are_forgotten_long_after_their_last_token(revocations: Revocations) -> None:
    revocations.end_session(CALLER.session_id or uuid4(), expires_at=NOW + timedelta(days=1), now=NOW)
    for number in range(50_000):
        now = NOW + timedelta(seconds=number)
        revocations.end_session(uuid4(), expires_at=now + timedelta(minutes=10), now=now)

    assert len(revocations._sessions) < 25_000
    with pytest.raises(RevokedError):
        revocations.check(CALLER)


def test_a_look_as_somebody_else_ends_with_the_operators_role(revocations: Revocations) -> None:
    look = replace(CALLER, actor_id=(actor := uuid4()))
    revocations.set_user(actor, UserStanding(2, active=True, operator=True))
    revocations.set_user(CALLER.user_id, UserStanding(2, active=True, operator=True))
    assert revocations.check(look) == look

    revocations.set_user(actor, UserStanding(3, active=True, operator=False))

    with pytest.raises(RevokedError):
        revocations.check(look)
    assert revocations.check(CALLER).operator
