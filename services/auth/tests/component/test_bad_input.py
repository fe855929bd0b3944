import base64
import hashlib
import hmac
import json
import random
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kit.testing import Signer

ROUTES = (
    ("POST", "/auth/register", {"email": "ada@example.com", "password": "a long password"}),
    ("POST", "/auth/login", {"email": "ada@example.com", "password": "a long password"}),
    ("POST", "/auth/refresh", {"refresh_token": "fgr_x"}),
    ("POST", "/auth/api-keys", {"name": "x", "mode": "live"}),
    ("POST", "/auth/logout", {"all": False}),
    ("POST", "/auth/password/forgot", {"email": "ada@example.com"}),
    ("POST", "/auth/password/reset", {"token": "x", "new_password": "a long password"}),
    ("POST", "/auth/email/confirm", {"token": "x"}),
    ("POST", "/auth/accounts", {"name": "Poets"}),
    ("POST", "/auth/switch", {"account_id": "0199f3a0-0000-7000-8000-00000000000a"}),
    ("POST", "/auth/invitations/accept", {"token": "x"}),
    ("POST", "/auth/projects", {"name": "Ode"}),
    ("POST", "/auth/totp/confirm", {"code": "123456"}),
    ("POST", "/internal/service-tokens", {"service": "gateway", "secret": "x", "audience": "auth"}),
    ("POST", "/internal/api-keys/resolve", {"key": "x"}),
)

OPEN = (
    "/auth/register",
    "/auth/login",
    "/auth/refresh",
    "/auth/password/forgot",
    "/auth/password/reset",
    "/auth/email/confirm",
    "/internal/service-tokens",
)


def _problem(answer, *, field: str | None = None) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["code"]
    assert body["detail"]
    if field:
        assert field in [one["field"] for one in body["errors"]], body


@pytest.mark.parametrize(("method", "path", "good"), ROUTES)
async def test_unknown_fields_and_wrong_types_are_named(auth, as_bearer, method, path, good):
    headers = await _credentials(auth, as_bearer, path)

    _problem(await auth.http.request(method, path, json={**good, "extra": 1}, headers=headers), field="extra")
    for name in good:
        for wrong in ({"a": 1}, [1], 7, None, 1.5):
            _problem(await auth.http.request(method, path, json={**good, name: wrong}, headers=headers), field=name)


@pytest.mark.parametrize(("method", "path", "good"), ROUTES)
async def test_bodies_that_are_no_json_objects_are_refused(auth, as_bearer, method, path, good):
    headers = {**await _credentials(auth, as_bearer, path), "content-type": "application/json"}

    for body in (b"{", b"\xff\xfe", b"[]", b'"x"', b"[" * 50_000, b'{"a": 1e999999}'):
        _problem(await auth.http.request(method, path, content=body, headers=headers))
    oversized = json.dumps({**good, "extra": "x" * (2 << 20)}).encode()
    answer = await auth.http.request(method, path, content=oversized, headers=headers)
    _problem(answer)
    assert answer.status_code == 413


@pytest.mark.parametrize(("method", "path", "good"), ROUTES)
async def test_strings_that_break_databases_break_nothing(auth, as_bearer, method, path, good):
    headers = {**await _credentials(auth, as_bearer, path), "content-type": "application/json"}

    for name in good:
        for text in ('"\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000"', '"\\ud800 is half a pair"'):
            body = json.dumps({**good, name: "HERE"}).replace('"HERE"', text).encode()
            answer = await auth.http.request(method, path, content=body, headers=headers)
            assert answer.status_code < 500


async def test_a_wrong_method_and_an_unknown_path_are_problems(auth):
    wrong = await auth.http.put("/auth/login", json={})
    unknown = await auth.http.get("/auth/nothing")

    _problem(wrong)
    _problem(unknown)
    assert (wrong.status_code, unknown.status_code) == (405, 404)


@pytest.mark.parametrize(
    ("email", "password", "field", "code"),
    [
        ("no address", "a long password", "email", "invalid_email"),
        ("ada@localhost", "a long password", "email", "invalid_email"),
        ("ada@example.com", "short", "password", "invalid_request"),
        ("ada@example.com", "x" * 257, "password", "invalid_request"),
        ("ada@example.com", "ada@example.com", "password", "weak_password"),
        ("ada@example.com", "Password123", "password", "weak_password"),
        ("ada@example.com", "aaaaaaaaaaaa", "password", "weak_password"),
    ],
)
async def test_what_cannot_be_registered_is_named(auth, email, password, field, code):
    answer = await auth.http.post("/auth/register", json={"email": email, "password": password})

    _problem(answer, field=field)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=201", "cursor=x", "cursor=WzFd", "cursor=" + "x" * 600, "cursor=%00"]
)
async def test_bad_pages_are_refused(auth, as_bearer, query):
    headers = as_bearer(await auth.signed_in())

    for path in ("/auth/api-keys", "/auth/sessions"):
        _problem(await auth.http.get(f"{path}?{query}", headers=headers), field=query.split("=")[0])


async def test_forged_tokens_are_refused(auth):
    tokens = await auth.signed_in()
    header, claims, signature = tokens["access_token"].split(".")
    kid = jwt.get_unverified_header(tokens["access_token"])["kid"]
    payload = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    public = (await auth.http.get("/auth/jwks.json")).json()["keys"][0]
    forged = {
        "alg none": _unsigned({"alg": "none", "typ": "at+jwt", "kid": kid}, payload),
        "hmac with the public key": _hmac({"alg": "HS256", "typ": "at+jwt", "kid": kid}, payload, public["x"]),
        "another key under our kid": _signed(payload, {"typ": "at+jwt", "kid": kid}),
        "key in the header": _signed(payload, {"typ": "at+jwt", "kid": kid, "jwk": public}),
        "unknown kid": _signed(payload, {"typ": "at+jwt", "kid": "../../etc/passwd"}),
        "kid with a quote": _signed(payload, {"typ": "at+jwt", "kid": "' OR 1=1 --"}),
        "no kid": _signed(payload, {"typ": "at+jwt"}),
        "id token": _signed(payload, {"typ": "JWT", "kid": kid}),
        "other claims": f"{header}.{_part({**payload, 'operator': True})}.{signature}",
        "no signature": f"{header}.{claims}.",
        "huge": tokens["access_token"] + "x" * 10_000,
        "empty": ".",
    }

    for name, token in forged.items():
        answer = await auth.http.get("/auth/me", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401, name
        _problem(answer)


async def test_tokens_for_another_audience_issuer_or_time_are_refused(running):
    signer = Signer(issuer="http://127.0.0.1:8080")
    async with running() as auth:
        tokens = await auth.signed_in()
        service = await auth.service_headers("gateway")
        assert (await auth.http.get("/auth/me", headers=service)).status_code == 401
        stranger = signer.user_token(account_id=uuid4())
        answer = await auth.http.get("/auth/me", headers={"authorization": f"Bearer {stranger}"})
        assert answer.json()["code"] == "invalid_token"
        auth.clock.advance(606)
        late = await auth.http.get("/auth/me", headers={"authorization": f"Bearer {tokens['access_token']}"})
        assert (late.status_code, late.json()["code"]) == (401, "token_expired")


async def test_fuzzed_tokens_are_refused_and_break_nothing(auth):
    token = (await auth.signed_in())["access_token"]
    chance = random.Random(7)

    for _ in range(300):
        mutated = bytearray(token.encode())
        for _ in range(chance.randint(1, 4)):
            match chance.randrange(3):
                case 0:
                    mutated[chance.randrange(len(mutated) - 1)] = chance.choice(b"AZaz09-_.=")
                case 1:
                    del mutated[chance.randrange(len(mutated)) :]
                    mutated += b"e"
                case _:
                    mutated.insert(chance.randrange(len(mutated)), chance.randrange(33, 127))
        if bytes(mutated) == token.encode():
            continue
        answer = await auth.http.get("/auth/me", headers={"authorization": b"Bearer " + bytes(mutated)})
        assert answer.status_code == 401


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic YTpi", "bearer  ", "Token x"])
async def test_headers_without_a_token_are_refused(auth, value):
    answer = await auth.http.get("/auth/me", headers={"authorization": value})

    _problem(answer)
    assert answer.status_code == 401


async def test_a_service_without_its_secret_gets_no_token(auth):
    for service, secret in (("gateway", "secret-of-ledger"), ("nobody", "secret-of-gateway"), ("", "x")):
        body = {"service": service, "secret": secret, "audience": "ledger"}
        answer = await auth.http.post("/internal/service-tokens", json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_service_secret")


async def test_only_the_gateway_may_resolve_keys(auth, as_bearer):
    tokens = await auth.signed_in()
    body = {"key": (await auth.make_key(tokens))["key"]}
    path = "/internal/api-keys/resolve"

    assert (await auth.http.post(path, json=body)).status_code == 401
    assert (await auth.http.post(path, json=body, headers=as_bearer(tokens))).status_code == 401
    other = await auth.http.post(path, json=body, headers=await auth.service_headers("billing"))
    assert other.status_code == 403
    elsewhere = await auth.http.post(path, json=body, headers=await auth.service_headers("gateway", "ledger"))
    assert elsewhere.status_code == 401


async def _credentials(auth, as_bearer, path):
    if path.startswith("/internal/api-keys"):
        return await auth.service_headers("gateway")
    return {} if path in OPEN else as_bearer(await auth.signed_in())


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _unsigned(header, payload) -> str:
    return f"{_part(header)}.{_part(payload)}."


def _hmac(header, payload, key: str) -> str:
    signed = f"{_part(header)}.{_part(payload)}"
    digest = hmac.digest(key.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _signed(payload, headers) -> str:
    return jwt.encode(payload, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers=headers)
