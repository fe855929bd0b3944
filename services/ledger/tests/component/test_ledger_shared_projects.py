"""What an account sees of another one's project: usage as a whole, while it is shared, and nothing else."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.auth import ProjectShareChanged


def share(running: Any, account_id: UUID, project_id: UUID, with_account_id: UUID) -> ProjectShareChanged:
    return ProjectShareChanged(
        id=uuid4(),
        time=running.make.clock.now(),
        share_id=uuid4(),
        account_id=account_id,
        project_id=project_id,
        with_account_id=with_account_id,
        with_project_id=uuid4(),
        version=1,
        access="read",
        state="active",
    )


async def shared(running: Any) -> tuple[UUID, UUID, UUID, ProjectShareChanged]:
    """An account with a call in a project and one beside it; the account it shares with; the share."""
    giver, receiver, project_id = await running.new_account(), await running.new_account(), uuid4()
    calls = [running.make.usage(giver, project_id=project_id), running.make.usage(giver, project_id=uuid4())]
    event = share(running, giver, project_id, receiver)
    await running.send(*calls, event)
    await running.booked(*(call.id for call in calls))
    return giver, receiver, project_id, event


async def answered(running: Any, token: str, status: int, **params: Any) -> Any:
    """The answer, once the share's news have been read."""
    async with asyncio.timeout(20):
        while (answer := await running.get("/ledger/usage", token=token, **params)).status_code != status:  # noqa: ASYNC110  # the ledger's reader has no event of ours
            await asyncio.sleep(0.05)
    return answer.json()


async def test_a_shared_projects_usage_is_seen_while_it_is_shared(running: Any) -> None:
    _, receiver, project_id, event = await shared(running)
    token = running.owner(receiver, role="developer")

    seen = await answered(running, token, 200, shared_project_id=str(project_id), group_by="model")
    await running.send(event.model_copy(update={"id": uuid4(), "version": 2, "state": "revoked"}))
    gone = await answered(running, token, 404, shared_project_id=str(project_id))

    assert [row["calls"] for row in seen["items"]] == [1]
    assert gone["code"] == "unknown_shared_project"


async def test_nothing_else_of_the_sharing_account_is_seen(running: Any) -> None:
    giver, receiver, project_id, _ = await shared(running)
    token, other = running.owner(receiver), running.owner(await running.new_account())
    asked = {"shared_project_id": str(project_id)}
    await answered(running, token, 200, **asked)

    wrong = [
        (token, {"shared_project_id": str(uuid4())}, 404),
        (other, asked, 404),
        (running.owner(receiver, role="user"), asked, 403),
        (token, {**asked, "group_by": "member"}, 422),
        (token, {**asked, "group_by": "key"}, 422),
        (token, {**asked, "user_id": str(uuid4())}, 422),
        (token, {**asked, "account_id": str(giver)}, 403),
        (token, {"account_id": str(giver)}, 403),
    ]
    for who, params, status in wrong:
        assert (await running.get("/ledger/usage", token=who, **params)).status_code == status, params
    own = (await running.get("/ledger/usage", token=token, project_id=str(project_id))).json()

    assert own["items"] == []


@pytest.mark.parametrize("path", ["/v1/requests", "/ledger/balance", "/ledger/transactions", "/ledger/export"])
async def test_only_usage_knows_shared_projects(running: Any, path: str) -> None:
    token = running.owner(await running.new_account())

    answer = await running.get(path, token=token, shared_project_id=str(uuid4()))

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "shared_project_id")
