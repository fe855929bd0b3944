"""Programs on devices without a browser, and requests for tokens that are wrong."""

import base64

import pytest
from services.auth.tests.programs import DEVICE, error_in, refreshed


async def _begin(auth, **changed):
    return await auth.http.post("/auth/device", data={"client_id": "editor", **changed})


async def _poll(auth, device, client_id="editor"):
    form = {"grant_type": DEVICE, "device_code": device["device_code"], "client_id": client_id}
    return await auth.http.post("/auth/token", data=form)


async def test_a_device_waits_until_its_user_allows_it(auth, browser):
    device = (await _begin(auth)).json()
    waiting = await _poll(auth, device)

    await browser.open(device["verification_uri_complete"].removeprefix("http://127.0.0.1:8080"))
    shown = await browser.send("/auth/pages/device", user_code=device["user_code"].lower())
    done = await browser.send("/auth/pages/device/decision", decision="allow")
    auth.clock.advance(5)
    tokens = await _poll(auth, device)

    assert (device["interval"], device["expires_in"]) == (5, 600)
    assert error_in(waiting) == (400, "authorization_pending")
    assert "Let Edie in?" in shown.text
    assert device["user_code"] in shown.text
    assert done.status_code == 200
    assert tokens.status_code == 200, tokens.text
    assert tokens.json()["scope"] == "models"
    assert error_in(await _poll(auth, device)) == (400, "invalid_grant")
    assert error_in(await refreshed(auth, tokens.json()["refresh_token"])) == (400, "invalid_grant")


async def test_a_device_that_asks_too_often_has_to_wait_longer(auth):
    device = (await _begin(auth)).json()

    answers = [await _poll(auth, device), await _poll(auth, device)]
    auth.clock.advance(6)
    answers.append(await _poll(auth, device))
    auth.clock.advance(15)
    answers.append(await _poll(auth, device))

    assert [error_in(one)[1] for one in answers] == [
        "authorization_pending",
        "slow_down",
        "slow_down",
        "authorization_pending",
    ]


async def test_a_device_learns_that_its_user_said_no_or_nothing(auth, browser):
    denied, forgotten = (await _begin(auth)).json(), (await _begin(auth)).json()
    await browser.open("/auth/pages/device")
    await browser.send("/auth/pages/device", user_code=denied["user_code"])
    await browser.send("/auth/pages/device/decision", decision="deny")

    no = await _poll(auth, denied)
    auth.clock.advance(601)
    nothing = await _poll(auth, forgotten)

    assert error_in(no) == (400, "access_denied")
    assert error_in(nothing) == (400, "expired_token")
    assert error_in(await _poll(auth, forgotten, client_id="manager")) == (400, "invalid_grant")


async def test_guessing_codes_of_devices_gets_slow(auth, browser):
    await browser.open("/auth/pages/device")
    answers = [await browser.send("/auth/pages/device", user_code="BCDF-GHJK") for _ in range(12)]

    assert [one.status_code for one in answers[:10]] == [404] * 10
    assert answers[-1].status_code == 429
    assert 'aria-describedby="user_code-hint user_code-wrong"' in answers[-1].text


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({}, 400, "invalid_request"),
        ({"grant_type": "password", "client_id": "editor"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, 400, "invalid_request"),
        (
            {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "nobody"},
            401,
            "invalid_client",
        ),
        (
            {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "editor", "client_secret": "x"},
            401,
            "invalid_client",
        ),
        (
            {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "editor", "scope": "account"},
            400,
            "invalid_scope",
        ),
        ({"grant_type": DEVICE, "device_code": "x\x00", "client_id": "editor"}, 400, "invalid_request"),
        ({"grant_type": ["refresh_token", "refresh_token"]}, 400, "invalid_request"),
    ],
)
async def test_a_wrong_request_for_tokens_is_refused_in_the_words_of_the_rfc(auth, form, status, error):
    assert error_in(await auth.http.post("/auth/token", data=form)) == (status, error)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"%", b"&" * 100, b"a=1&" * 60, b"x" * 20_000, b'{"grant_type": "x"}'])
async def test_what_is_no_form_is_refused(auth, body):
    for path in ("/auth/token", "/auth/device"):
        answer = await auth.http.post(path, content=body)
        assert error_in(answer) == (400, "invalid_request")


@pytest.mark.parametrize("credentials", ["", "!!!", "eA==", base64.b64encode(b"a\x00:b").decode()])
async def test_a_header_that_names_no_program_is_refused(auth, credentials):
    form = {"grant_type": "refresh_token", "refresh_token": "x"}

    answer = await auth.http.post("/auth/token", data=form, headers={"authorization": f"Basic {credentials}"})

    assert error_in(answer) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic")
