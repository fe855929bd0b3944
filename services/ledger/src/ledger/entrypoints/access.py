"""What the ledger's routes share: whose account, which role may see what, parameters that nobody knows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant

from kit.database import Database
from kit.errors import InvalidError
from kit.http import Problem
from kit.identity import CallerDep
from kit.paging import Moment, decode_cursor
from kit.tokens import Caller
from ledger.errors import OtherAccountError, RoleError, UnknownParameterError, WindowError
from ledger.service.sharing import SharedProjects

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem, "description": text}
    for status, text in ((401, "Not signed in"), (403, "Not allowed"), (404, "Not found"), (422, "Invalid request"))
}
CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": Problem, "description": "The key was used with another body, or the account's state forbids it"}
}

AccountParameter = Annotated[UUID | None, Query(description="another account; operators only")]
From = Annotated[Moment | None, Query(alias="from", description="at or after; RFC 3339 with offset")]
To = Annotated[Moment | None, Query(alias="to", description="before; RFC 3339 with offset")]
Model = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


async def account_of(caller: CallerDep, account_id: AccountParameter = None) -> UUID:
    """The account that a route speaks of."""
    if account_id is not None and account_id != caller.account_id and not caller.operator:
        raise OtherAccountError("Only operators may look at other accounts.", field="account_id")
    return account_id or caller.account_id


AccountDep = Annotated[UUID, Depends(account_of)]


async def database_of(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


DatabaseDep = Annotated[Database, Depends(database_of)]


async def now_of(request: Request) -> datetime:
    now: datetime = request.app.state.clock.now()
    return now


NowDep = Annotated[datetime, Depends(now_of)]


async def refuse_unknown_parameters(request: Request) -> None:
    """A misspelt filter would otherwise answer with everything."""
    dependant = getattr(request.scope.get("route"), "dependant", None)
    if dependant is None:
        return
    known = set(_query_names(dependant))
    for name in request.query_params:
        if name not in known:
            raise UnknownParameterError("there is no such parameter here", field=name[:100])


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_names(inner)


STRICT: Final = Depends(refuse_unknown_parameters)


def only_user(caller: Caller) -> UUID | None:
    """Role `user` sees own usage only."""
    return caller.user_id if caller.role == "user" and not caller.operator else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose calls are asked for: of which account, and of it which member, key, project or model; None is any."""

    account_id: UUID
    user_id: UUID | None
    api_key_id: UUID | None
    project_id: UUID | None
    model: str | None


async def subject_of(
    *,
    caller: CallerDep,
    account_id: AccountDep,
    model: Model = None,
    api_key_id: Annotated[UUID | None, Query()] = None,
    project_id: Annotated[UUID | None, Query()] = None,
    user_id: Annotated[UUID | None, Query(description="the member who called")] = None,
) -> Subject:
    """Role `user` sees own calls, whoever it asks for."""
    return Subject(
        account_id=account_id,
        user_id=only_user(caller) or user_id,
        api_key_id=api_key_id,
        project_id=project_id,
        model=model,
    )


SubjectDep = Annotated[Subject, Depends(subject_of)]


async def subject_or_shared(
    request: Request,
    subject: SubjectDep,
    caller: CallerDep,
    shared_project_id: Annotated[
        UUID | None, Query(description="a project that another account shares with the caller's, as a whole")
    ] = None,
) -> Subject:
    """Of a shared project whoever sees their own account's money sees what was used, not by whom."""
    if shared_project_id is None:
        return subject
    await may_see_money(caller)
    for name in ("account_id", "user_id", "api_key_id", "project_id"):
        if name in request.query_params:
            raise WindowError("is not told of a project that is shared", field=name)
    if {"key", "member"}.intersection(request.query_params.getlist("group_by")):
        raise WindowError("is not told of a project that is shared: key, member", field="group_by")
    shared: SharedProjects = request.app.state.shared_projects
    owner = shared.owner(shared_project_id, shared_with=caller.account_id)
    return replace(subject, account_id=owner, project_id=shared_project_id)


SharedSubjectDep = Annotated[Subject, Depends(subject_or_shared)]


async def may_see_money(caller: CallerDep) -> Caller:
    if only_user(caller) is not None:
        raise RoleError("Owners, admins and developers see the account's money; you see your own calls.")
    return caller


async def may_change_money(caller: CallerDep) -> Caller:
    if caller.role not in ("owner", "admin"):
        raise RoleError("Owners and admins may do this.")
    return caller


MoneyReader = Annotated[Caller, Depends(may_see_money)]
MoneyWriter = Annotated[Caller, Depends(may_change_money)]


async def admin_of(caller: CallerDep) -> Caller:
    if not caller.operator and caller.role not in ("owner", "admin"):
        raise RoleError("Owners and admins may see this.")
    return caller


AdminReader = Annotated[Caller, Depends(admin_of)]


def window(
    starts_at: datetime | None, ends_at: datetime | None, *, now: datetime, default: timedelta, most: timedelta
) -> tuple[datetime, datetime]:
    """A window in UTC: up to now and `default` long where nothing else is said, `most` long at most."""
    ends_at = ends_at.astimezone(UTC) if ends_at else now
    starts_at = starts_at.astimezone(UTC) if starts_at else ends_at - default
    if starts_at >= ends_at:
        raise WindowError("must be before `to`", field="from")
    if ends_at - starts_at > most:
        raise WindowError(f"the window is longer than {most.days} days", field="from")
    return starts_at, ends_at


def sequence_in(cursor: str | None) -> int | None:
    """The sequence number in a cursor of ours."""
    if cursor is None:
        return None
    (sequence,) = decode_cursor(cursor, parts=1)
    if type(sequence) is not int or not 0 <= sequence < 1 << 63:
        raise foreign_cursor()
    return sequence


def id_in(cursor: str | None) -> UUID | None:
    """The id in a cursor of ours."""
    if cursor is None:
        return None
    (found,) = decode_cursor(cursor, parts=1)
    try:
        return UUID(str(found))
    except ValueError:
        raise foreign_cursor() from None


def foreign_cursor() -> InvalidError:
    return InvalidError("The cursor is not one of ours.", field="cursor")
