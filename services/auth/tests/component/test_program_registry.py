"""Programs that operators register, programs with a secret, and looking at tokens."""

from base64 import b64encode
from uuid import UUID

import pytest
import pytest_asyncio

from auth.service import people

PASSWORD = "correct horse battery"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox(running):
    """An installation whose operators need no second factor."""
    async with running(operator_second_factor=False) as auth:
        yield auth


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operator(sandbox):
    """The tokens of an operator who has just proved to be one."""
    address = await sandbox.register()
    tokens = await sandbox.login(address)
    async with sandbox.database.transaction() as session:
        await people.set_operator(session, UUID(tokens["user_id"]), operator=True, clock=sandbox.clock)
    tokens = await sandbox.login(address)
    return (await sandbox.call("POST", "/auth/step-up", tokens, password=PASSWORD)).json()


async def _register(auth, operator, **wanted):
    body = {"name": "Poet", "redirect_uris": ["https://poet.example/cb"], "reason": "because", **wanted}
    return await auth.call("POST", "/auth/operator/clients", operator, **body)


def _basic(client) -> dict[str, str]:
    pair = f"{client['client_id']}:{client['client_secret']}"
    return {"authorization": "Basic " + b64encode(pair.encode()).decode()}


async def test_a_program_is_registered_changed_and_disabled_with_a_reason(sandbox, operator):
    made = (await _register(sandbox, operator)).json()
    path = f"/auth/operator/clients/{made['client_id']}"

    changed = await sandbox.call("PATCH", path, operator, name="Poetess", scopes=["models", "account"], reason="bigger")
    begun = await sandbox.http.post("/auth/device", data={"client_id": made["client_id"], "scope": "account"})
    disabled = await sandbox.call("PATCH", path, operator, state="disabled", reason="it misbehaves")
    refused = await sandbox.http.post("/auth/device", data={"client_id": made["client_id"]})
    listed = (await sandbox.call("GET", "/auth/operator/clients", operator)).json()["items"]
    log = (await sandbox.call("GET", "/auth/operator/audit", operator)).json()["items"]

    assert (made["client_secret"], made["confidential"], made["scopes"]) == (None, False, ["models"])
    assert changed.json()["name"] == "Poetess"
    assert begun.status_code == 200
    assert disabled.json()["state"] == "disabled"
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert [one["client_id"] for one in listed][:3] == ["editor", "manager", made["client_id"]]
    assert [one["configured"] for one in listed][:3] == [True, True, False]
    entries = [one for one in log if one["target_id"] == made["client_id"]]
    assert {(one["action"], one["reason"]) for one in entries} == {
        ("program.changed", "it misbehaves"),
        ("program.changed", "bigger"),
        ("program.registered", "because"),
    }


@pytest.mark.parametrize(
    "address",
    [
        "http://poet.example/cb",
        "http://localhost/cb",
        "https://poet.example/cb#x",
        "https://ada@poet.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "poet:/cb",
        "//poet.example/cb",
        "https:///cb",
        "https://poet.example:port/cb",
        "https://poet.example/\ncb",
        "",
    ],
)
async def test_an_address_that_could_be_anybodys_is_not_registered(sandbox, operator, address):
    answer = await _register(sandbox, operator, redirect_uris=[address])

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("redirect_uris")


async def test_addresses_of_editors_and_desktop_programs_are_registered(sandbox, operator):
    addresses = ["http://127.0.0.1/cb", "http://[::1]/cb", "vscode://poet.editor/cb", "com.example.poet:/cb"]

    assert (await _register(sandbox, operator, redirect_uris=addresses)).status_code == 201


async def test_a_program_of_the_configuration_changes_there_only(sandbox, operator):
    answer = await sandbox.http.patch(
        "/auth/operator/clients/editor", json={"name": "x", "reason": "because"}, headers=_bearer(operator)
    )

    assert answer.status_code == 422


async def test_a_program_with_a_secret_shows_it_or_gets_nothing(sandbox, operator):
    made = (await _register(sandbox, operator, confidential=True)).json()
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": made["client_id"]}

    without = await sandbox.http.post("/auth/token", data=form)
    wrong = await sandbox.http.post("/auth/token", data={**form, "client_secret": "x"})
    right = await sandbox.http.post("/auth/token", data={**form, "client_secret": made["client_secret"]})
    by_header = await sandbox.http.post("/auth/token", data=form, headers=_basic(made))
    another = await sandbox.http.post("/auth/token", data={**form, "client_id": "editor"}, headers=_basic(made))

    assert [(one.status_code, one.json()["error"]) for one in (without, wrong, right, by_header, another)] == [
        (401, "invalid_client"),
        (401, "invalid_client"),
        (400, "invalid_grant"),
        (400, "invalid_grant"),
        (400, "invalid_request"),
    ]
    assert made["client_secret"] not in (await sandbox.call("GET", "/auth/operator/clients", operator)).text


async def _introspect(auth, token, headers):
    return await auth.http.post("/auth/introspect", data={"token": token}, headers=headers)


async def test_a_service_learns_what_a_token_stands_for(sandbox):
    tokens, headers = await sandbox.signed_in(), await sandbox.service_headers("ledger")

    access = (await _introspect(sandbox, tokens["access_token"], headers)).json()
    refresh = (await _introspect(sandbox, tokens["refresh_token"], headers)).json()
    nonsense = [await _introspect(sandbox, one, headers) for one in ("x", "a.b.c", tokens["access_token"][:-3], "💥")]
    await sandbox.call("POST", "/auth/logout", tokens)
    ended = [(await _introspect(sandbox, tokens[one], headers)).json() for one in ("access_token", "refresh_token")]

    assert access["active"] is True
    assert (access["sub"], access["account"], access["sid"]) == (
        tokens["user_id"],
        tokens["account_id"],
        tokens["session_id"],
    )
    assert (access["iss"], access["aud"], access["token_type"]) == ("http://127.0.0.1:8080", "faregate", "Bearer")
    assert (refresh["active"], refresh["sub"]) == (True, tokens["user_id"])
    assert [one.json() for one in nonsense] == [{"active": False}] * 4
    assert ended == [{"active": False}] * 2


async def test_a_program_learns_of_its_own_tokens_only_and_nobody_else_of_any(sandbox, operator):
    made = (await _register(sandbox, operator, confidential=True)).json()
    tokens = await sandbox.signed_in()

    others = await _introspect(sandbox, tokens["access_token"], _basic(made))
    user = await _introspect(sandbox, tokens["access_token"], _bearer(tokens))
    public = await sandbox.http.post("/auth/introspect", data={"token": "x", "client_id": "editor"})
    nobody = await _introspect(sandbox, tokens["access_token"], {})
    empty = await sandbox.http.post("/auth/introspect", headers=_basic(made))

    assert others.json() == {"active": False}
    assert [one.status_code for one in (user, public, nobody)] == [401] * 3
    assert (empty.status_code, empty.json()["error"]) == (400, "invalid_request")


def _bearer(tokens) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}
