from uuid import uuid4

import pytest

from contracts.auth import ProjectShareChanged
from kit.clock import SystemClock
from ledger.errors import UnknownSharedProjectError
from ledger.service.sharing import SharedProjects


def share(**changed: object) -> ProjectShareChanged:
    values = {
        "id": uuid4(),
        "time": SystemClock().now(),
        "share_id": uuid4(),
        "account_id": uuid4(),
        "project_id": uuid4(),
        "with_account_id": uuid4(),
        "with_project_id": uuid4(),
        "version": 1,
        "access": "read",
        "state": "active",
    }
    return ProjectShareChanged(**{**values, **changed})  # type: ignore[arg-type]  # as above


def test_a_reader_that_starts_over_brings_no_share_back() -> None:
    projects, given = SharedProjects(), share()
    ended = given.model_copy(update={"version": 2, "state": "revoked"})

    for event in (given, ended, given):
        projects.on_changed(event)

    with pytest.raises(UnknownSharedProjectError):
        projects.owner(given.project_id, shared_with=given.with_account_id)


def test_a_project_stays_shared_while_one_of_two_shares_stands() -> None:
    projects, first = SharedProjects(), share()
    second = first.model_copy(update={"share_id": uuid4(), "with_project_id": uuid4()})

    for event in (first, second, first.model_copy(update={"version": 2, "state": "revoked"})):
        projects.on_changed(event)

    assert projects.owner(first.project_id, shared_with=first.with_account_id) == first.account_id
    with pytest.raises(UnknownSharedProjectError):
        projects.owner(first.project_id, shared_with=first.account_id)
