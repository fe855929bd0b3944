"""A product's own sign-in, exchanged for ours; the issuer is a key of this test behind a real HTTP server."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pydantic import ValidationError
from sqlalchemy import text

from auth.domain.outside import ClaimNames, TrustedIssuer

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"


class Issuer:
    """An outside issuer whose JWKS answer a test may change."""

    def __init__(self):
        self.rsa = new_rsa_key(65537, 2048)
        self.ec = new_ec_key(SECP256R1())
        self.asked, self.status = 0, 200
        self.keys = [
            {**json.loads(RSAAlgorithm.to_jwk(self.rsa.public_key())), "kid": "r1", "alg": "RS256", "use": "sig"},
            {**json.loads(ECAlgorithm.to_jwk(self.ec.public_key())), "kid": "e1", "alg": "ES256", "use": "sig"},
        ]
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked += 1
                self.send_response(issuer.status)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": issuer.keys}).encode())

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def trusted(self, **changed):
        names = ClaimNames(account="org", account_name="org_name", project="proj", role="org_role")
        settings = {
            "name": "clerk",
            "issuer": self.url,
            "jwks_url": f"{self.url}/jwks",
            "audience": "faregate-test",
            "claims": names,
            "roles": {"boss": "admin", "maker": "developer"},
            "create_users": True,
        }
        return TrustedIssuer(**{**settings, **changed})

    def token(self, auth, *, subject=None, headers=None, key=None, algorithm="RS256", **claims):
        now = int(auth.clock.now().timestamp())
        said = {
            "iss": self.url,
            "aud": "faregate-test",
            "sub": subject or uuid4().hex,
            "iat": now,
            "exp": now + 60,
            "email": f"{uuid4().hex}@example.com",
            "email_verified": True,
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        signing = None if algorithm == "none" else key or self.rsa
        return jwt.encode(said, signing, algorithm=algorithm, headers=headers or {"kid": "r1"})


@pytest.fixture(scope="module")
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trusting(running, issuer):
    async with running(trusted_issuers=(issuer.trusted(),)) as auth:
        yield auth


async def _exchange(auth, token, **more):
    form = {"grant_type": GRANT, "subject_token": token, "subject_token_type": JWT, **more}
    return await auth.http.post("/auth/token", data=form)


def _claims(answer):
    assert answer.status_code == 200, answer.text
    return _claims_of(answer.json()["access_token"])


def _claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


async def test_a_product_exchanges_its_token_and_its_user_is_made_on_first_sight(trusting, issuer):
    subject = uuid4().hex
    first = await _exchange(trusting, issuer.token(trusting, subject=subject, email="Ada@example.com"))
    again = await _exchange(trusting, issuer.token(trusting, subject=subject, email=None))

    answer = first.json()
    assert (answer["token_type"], answer["expires_in"], answer["issued_token_type"]) == ("Bearer", 600, ACCESS)
    assert "refresh_token" not in answer or answer["refresh_token"] is None
    assert first.headers["cache-control"] == "no-store"
    one, other = _claims(first), _claims(again)
    assert (one["sub"], one["sid"], one["account"]) == (other["sub"], other["sid"], other["account"])
    me = (await trusting.call("GET", "/auth/me", answer)).json()
    assert (me["user"]["email"], me["user"]["email_verified"], me["role"]) == ("Ada@example.com", True, "owner")
    made = await trusting.events("auth.account-created.v1", account_id=one["account"])
    assert len(made) == 1
    assert {"identity.linked", "session.opened"} <= set(await trusting.acted(answer))


async def test_claims_say_account_project_and_role(trusting, issuer):
    org, project = f"org_{uuid4().hex}", f"proj_{uuid4().hex}"
    boss = _claims(await _exchange(trusting, issuer.token(trusting, org=org, org_name="Poets", proj=project)))
    maker_id = uuid4().hex
    maker = _claims(await _exchange(trusting, issuer.token(trusting, subject=maker_id, org=org, org_role="maker")))
    raised = _claims(await _exchange(trusting, issuer.token(trusting, subject=maker_id, org=org, org_role="boss")))
    demoted = _claims(await _exchange(trusting, issuer.token(trusting, subject=maker_id, org=org, org_role="maker")))
    same = _claims(await _exchange(trusting, issuer.token(trusting, subject=maker_id, org=org, proj=project)))

    assert (boss["role"], boss["projects"]) == ("owner", [boss["project"]])
    assert {one["account"] for one in (boss, maker, raised, demoted, same)} == {boss["account"]}
    assert [one["role"] for one in (maker, raised, demoted, same)] == ["developer", "admin", "developer", "developer"]
    assert (same["project"], "project" in maker) == (boss["project"], False)
    events = await trusting.events(
        "auth.member-changed.v1", at_least=3, user_id=maker["sub"], account_id=boss["account"]
    )
    assert [one["data"]["role"] for one in events] == ["developer", "admin", "developer"]


async def test_the_last_owner_of_an_account_stays_its_owner(trusting, issuer):
    org, subject = f"org_{uuid4().hex}", uuid4().hex
    await _exchange(trusting, issuer.token(trusting, subject=subject, org=org))

    again = _claims(await _exchange(trusting, issuer.token(trusting, subject=subject, org=org, org_role="maker")))

    assert again["role"] == "owner"


async def test_an_account_of_ours_is_for_its_members_only(trusting, issuer):
    team = await trusting.team()
    subject = uuid4().hex
    stranger = await _exchange(trusting, issuer.token(trusting, subject=subject, org=team["account_id"]))

    assert _claims(stranger)["account"] != team["account_id"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "somebody-else"},
        {"aud": ["faregate-test", "somebody-else"]},
        {"aud": ["faregate-test", "somebody-else"], "azp": "somebody-else"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"iat": 9_999_999_999},
        {"nbf": 9_999_999_999},
        {"sub": ""},
        {"exp": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": None},
        {"org": 7},
        {"org": "x" * 256},
        {"org": "a\x00b"},
        {"org_role": "king"},
    ],
)
async def test_a_token_with_wrong_claims_is_refused(trusting, issuer, wrong):
    answer = await _exchange(trusting, issuer.token(trusting, **{"subject": "x", **wrong}))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), answer.text
    assert set(answer.json()) == {"error", "error_description"}


async def test_a_token_signed_in_another_way_is_refused(trusting, issuer):
    public = RSAAlgorithm.to_jwk(issuer.rsa.public_key())
    foreign = new_rsa_key(65537, 2048)
    tokens = {
        "an algorithm that is not pinned": issuer.token(
            trusting, key=issuer.ec, algorithm="ES256", headers={"kid": "e1"}
        ),
        "hmac with the public key": issuer.token(trusting, key=json.loads(public)["n"], algorithm="HS256"),
        "none": issuer.token(trusting, algorithm="none"),
        "another key under the known id": issuer.token(trusting, key=foreign),
        "an unknown key": issuer.token(trusting, headers={"kid": "nothing"}),
        "a key in the header": issuer.token(trusting, key=foreign, headers={"kid": "j", "jwk": json.loads(public)}),
        "a critical extension": issuer.token(trusting, headers={"kid": "r1", "crit": ["x"], "x": 1}),
        "no token": "x.y.z",
        "huge": "x" * 20_000,
    }

    for name, token in tokens.items():
        answer = await _exchange(trusting, token)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), (name, answer.text)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": GRANT}, "invalid_request"),
        ({"grant_type": GRANT, "subject_token": "x"}, "invalid_request"),
        ({"grant_type": GRANT, "subject_token": "x", "subject_token_type": "saml2"}, "invalid_request"),
        ({"grant_type": GRANT, "subject_token": "x", "subject_token_type": JWT, "audience": "bank"}, "invalid_target"),
        ({"grant_type": GRANT, "subject_token": "x", "subject_token_type": JWT, "actor_token": "y"}, "invalid_request"),
        (
            {"grant_type": GRANT, "subject_token": "x", "subject_token_type": JWT, "requested_token_type": JWT},
            "invalid_request",
        ),
    ],
)
async def test_a_wrong_form_is_refused_in_the_words_of_the_rfc(trusting, form, error):
    answer = await trusting.http.post("/auth/token", data=form)

    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["error_description"]


async def test_nobody_is_made_where_the_operator_does_not_allow_it(running, issuer):
    async with running(trusted_issuers=(issuer.trusted(create_users=False),)) as auth:
        answer = await _exchange(auth, issuer.token(auth))
        known = await auth.verified()
        address = (await auth.call("GET", "/auth/me", known)).json()["user"]["email"]
        linked = await _exchange(auth, issuer.token(auth, email=address))
        elsewhere = await _exchange(auth, issuer.token(auth, email=address, org="org_unknown"))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert _claims(linked)["sub"] == known["user_id"]
    assert elsewhere.status_code == 400


async def test_who_is_made_on_first_sight_counts_as_a_sign_up_of_the_network(running, issuer):
    async with running(signups_per_hour=2, trusted_issuers=(issuer.trusted(),)) as auth:
        token = issuer.token(auth, org="org_first")
        made = [await _exchange(auth, token), await _exchange(auth, token)]
        user = await _exchange(auth, issuer.token(auth))
        account = await _exchange(auth, issuer.token(auth, subject=_claims_of(token)["sub"], org="org_second"))
        auth.clock.advance(1801)
        later = await _exchange(auth, issuer.token(auth))
    roomy = issuer.trusted(sign_ups_per_hour=3)
    async with running(signups_per_hour=2, trusted_issuers=(roomy,)) as auth:
        many = [await _exchange(auth, issuer.token(auth)) for _ in range(4)]

    assert [one.status_code for one in (*made, user, account, later)] == [200, 200, 429, 429, 200]
    assert int(user.headers["retry-after"]) > 0
    assert [one.status_code for one in many] == [200, 200, 200, 429]


async def test_an_unconfirmed_address_or_an_operator_is_not_taken_over(trusting, issuer):
    unconfirmed, operator = await trusting.register(), await trusting.verified()
    async with trusting.database.transaction() as session:
        await session.execute(text("UPDATE users SET operator = true WHERE id = :id"), {"id": operator["user_id"]})
    address = (await trusting.call("GET", "/auth/me", operator)).json()["user"]["email"]

    answers = [await _exchange(trusting, issuer.token(trusting, email=one)) for one in (unconfirmed, address)]

    assert [one.status_code for one in answers] == [400, 400]


async def test_a_second_factor_is_not_replaced_by_an_exchange(trusting, issuer):
    subject = uuid4().hex
    first = _claims(await _exchange(trusting, issuer.token(trusting, subject=subject)))
    async with trusting.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO totp_secrets (user_id, secret_sealed, last_step, confirmed_at, created_at)"
                " VALUES (:id, '', 0, now(), now())"
            ),
            {"id": first["sub"]},
        )

    answer = await _exchange(trusting, issuer.token(trusting, subject=subject))

    assert "second factor" in answer.json()["error_description"]


async def test_an_ended_session_is_not_continued_by_the_next_exchange(trusting, issuer):
    subject = uuid4().hex
    first = await _exchange(trusting, issuer.token(trusting, subject=subject))
    await trusting.call("POST", "/auth/logout", first.json())

    refused = await trusting.call("GET", "/auth/me", first.json())
    again = _claims(await _exchange(trusting, issuer.token(trusting, subject=subject)))

    assert refused.status_code == 401
    assert again["sid"] != _claims(first)["sid"]


async def test_first_exchanges_at_once_make_one_user(trusting, issuer):
    subject, address = uuid4().hex, f"{uuid4().hex}@example.com"

    answers = await asyncio.gather(
        *(_exchange(trusting, issuer.token(trusting, subject=subject, email=address)) for _ in range(4))
    )

    assert len({_claims(one)["sub"] for one in answers}) == 1


async def test_exchanges_of_one_subject_are_limited(trusting, issuer):
    token = issuer.token(trusting)

    answers = [await _exchange(trusting, token) for _ in range(61)]

    assert [one.status_code for one in answers] == [200] * 60 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_keys_are_fetched_once_and_kept_while_the_issuer_is_away(running, issuer):
    async with running(trusted_issuers=(issuer.trusted(),)) as auth:
        before = issuer.asked
        await asyncio.gather(*(_exchange(auth, issuer.token(auth)) for _ in range(5)))
        fetched = issuer.asked - before
        issuer.status = 500
        auth.clock.advance(400)
        while_away = await _exchange(auth, issuer.token(auth))
        issuer.status = 200

    assert fetched == 1
    assert while_away.status_code == 200


async def test_without_any_keys_the_answer_is_to_try_again(running, issuer):
    issuer.status = 500
    async with running(trusted_issuers=(issuer.trusted(),)) as auth:
        answer = await _exchange(auth, issuer.token(auth))
    issuer.status = 200

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize("algorithms", [("HS256",), ("none",), ()])
async def test_an_issuer_with_a_shared_secret_is_no_setting(running, issuer, algorithms):
    with pytest.raises(ValidationError, match="algorithms must be among"):
        async with running(trusted_issuers=(issuer.trusted(algorithms=algorithms),)):
            pass


async def test_identities_are_listed_and_unlinked_by_their_owner_but_never_the_last_way_in(trusting, issuer):
    tokens, other = await trusting.verified(), await trusting.signed_in()
    address = (await trusting.call("GET", "/auth/me", tokens)).json()["user"]["email"]
    subject = uuid4().hex
    exchanged = await _exchange(trusting, issuer.token(trusting, subject=subject, email=address))
    listed = (await trusting.call("GET", "/auth/identities", tokens)).json()["items"]
    path, proof = f"/auth/identities/{listed[0]['id']}/remove", {"password": "correct horse battery"}

    theirs = await trusting.call("POST", path, other, **proof)
    unproved = await trusting.call("POST", path, exchanged.json(), password="not the one")
    removed = await trusting.call("POST", path, tokens, **proof)

    assert [(one["provider"], one["issuer"], one["subject"]) for one in listed] == [("clerk", issuer.url, subject)]
    assert (theirs.status_code, theirs.json()["code"]) == (404, "unknown_identity")
    assert unproved.status_code == 403
    assert removed.status_code == 200
    assert (await trusting.call("GET", "/auth/identities", tokens)).json()["items"] == []
    assert "identity.unlinked" in await trusting.acted(tokens)
