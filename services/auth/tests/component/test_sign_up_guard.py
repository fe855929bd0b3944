import asyncio
import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from urllib.parse import parse_qs
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError

PASSWORD = "correct horse battery"


async def _register(auth, address=None, **more):
    address = address or f"{uuid4().hex}@example.com"
    return await auth.http.post("/auth/register", json={"email": address, "password": PASSWORD, **more})


@pytest.mark.parametrize("domain", ["mailinator.com", "inbox.mailinator.com", "MAILINATOR.com"])
async def test_addresses_that_are_thrown_away_are_refused(auth, domain):
    answer = await _register(auth, f"ada@{domain}")

    assert (answer.status_code, answer.json()["code"]) == (422, "disposable_email")
    assert answer.json()["errors"][0]["field"] == "email"


async def test_a_setting_lets_every_address_in(running):
    async with running(refuse_disposable_addresses=False) as auth:
        assert (await _register(auth, "ada@mailinator.com")).status_code == 201


async def test_registrations_from_one_network_are_limited_by_a_setting(running):
    async with running(signups_per_hour=2) as auth:
        answers = [await _register(auth) for _ in range(3)]
        elsewhere = await auth.http.post(
            "/auth/register",
            json={"email": f"{uuid4().hex}@example.com", "password": PASSWORD},
            headers={"x-forwarded-for": "10.5.5.5"},
        )

    assert [one.status_code for one in answers] == [201, 201, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    assert elsewhere.status_code == 201


def _solved(challenge, bits, *, wrong=False):
    def zeros(number):
        return 256 - int.from_bytes(hashlib.sha256(f"{challenge}.{number}".encode()).digest(), "big").bit_length()

    return next(f"{challenge}.{number}" for number in count() if (zeros(number) < bits) == wrong)


async def test_a_registration_brings_work_when_the_operator_wants_it(running):
    async with running(sign_up_proof="proof_of_work", proof_of_work_bits=8) as auth:
        asked = (await auth.http.get("/auth/sign-up-proof")).json()
        assert (asked["kind"], asked["bits"], asked["algorithm"]) == ("proof_of_work", 8, "sha256")
        solved, unsolved = _solved(asked["challenge"], 8), _solved(asked["challenge"], 8, wrong=True)

        refused = [
            await _register(auth),
            await _register(auth, proof="x"),
            await _register(auth, proof=unsolved),
            await _register(auth, proof=_solved(f"9{asked['challenge']}", 8)),
        ]
        taken = [await _register(auth, proof=solved), await _register(auth, proof=solved)]
        late = _solved((await auth.http.get("/auth/sign-up-proof")).json()["challenge"], 8)
        auth.clock.advance(601)
        too_late = await _register(auth, proof=late)

    assert [(one.status_code, one.json()["code"]) for one in (*refused, too_late)] == [(422, "sign_up_proof")] * 5
    assert [one.status_code for one in taken] == [201, 422]


async def test_no_proof_is_asked_for_by_default(auth):
    assert (await auth.http.get("/auth/sign-up-proof")).json()["kind"] == "off"


@contextmanager
def _captcha_server(seen):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            seen.append({name: values[0] for name, values in form.items()})
            body = b'{"success": true}' if form["response"] == ["good"] else b'{"success": false}'
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/siteverify"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_captcha_is_judged_by_its_server_and_nobody_gets_in_while_it_is_away(running):
    seen = []
    with _captcha_server(seen) as url:
        settings = {"captcha_verify_url": url, "captcha_secret": SecretStr("shh")}
        async with running(sign_up_proof="siteverify", **settings) as auth:
            answers = await asyncio.gather(_register(auth, proof="good"), _register(auth, proof="bad"), _register(auth))
    gone = {"captcha_verify_url": url, "captcha_secret": SecretStr("shh")}
    async with running(sign_up_proof="siteverify", **gone) as auth:
        away = await _register(auth, proof="good")

    assert [one.status_code for one in answers] == [201, 422, 422]
    assert {one["secret"] for one in seen} == {"shh"}
    assert sorted(one["response"] for one in seen) == ["bad", "good"]
    assert away.status_code == 503


async def test_a_captcha_without_a_server_is_no_setting(running):
    with pytest.raises(ValidationError, match="CAPTCHA_VERIFY_URL"):
        async with running(sign_up_proof="siteverify"):
            pass
