import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from services.auth.tests.authenticator import USER_PRESENT, Authenticator
from sqlalchemy import text

from auth.adapters.passkeys import RelyingParty, challenge_in
from auth.errors import PasskeyRefusedError

PASSWORD = "correct horse battery"


async def _added(auth, tokens, device, *, name="laptop", **proof):
    begun = await auth.call("POST", "/auth/passkeys/registration", tokens, **(proof or {"password": PASSWORD}))
    assert begun.status_code == 200, begun.text
    credential = device.make(begun.json()["public_key"])
    return await auth.call("POST", "/auth/passkeys", tokens, credential=credential, name=name)


async def _options(auth):
    return (await auth.http.post("/auth/passkeys/sign-in/options")).json()["public_key"]


async def _sign_in(auth, device, **how):
    credential = device.use(await _options(auth), **how)
    return await auth.http.post("/auth/passkeys/sign-in", json={"credential": credential})


async def _proof(auth, tokens, device):
    options = (await auth.call("POST", "/auth/passkeys/proof", tokens)).json()["public_key"]
    return device.use(options)


async def test_a_passkey_signs_in_without_a_name_and_without_a_code(auth):
    tokens, device = await auth.signed_in(), Authenticator()
    made = await _added(auth, tokens, device)
    assert made.status_code == 201, made.text

    options = await _options(auth)
    signed_in = await _sign_in(auth, device)

    assert (options["rpId"], options["allowCredentials"], options["userVerification"]) == ("localhost", [], "required")
    assert signed_in.json()["user_id"] == tokens["user_id"]
    listed = (await auth.call("GET", "/auth/passkeys", signed_in.json())).json()["items"]
    assert [(one["id"], one["name"], one["synced"]) for one in listed] == [(made.json()["id"], "laptop", False)]
    assert listed[0]["last_used_at"] is not None
    assert (await auth.mail(tokens["user_id"], kind="sign-in-changed"))["link"] is None
    assert {"passkey.added", "session.opened"} <= set(await auth.acted(signed_in.json()))


async def test_a_passkey_is_made_after_a_fresh_proof_only(auth):
    tokens, device = await auth.signed_in(), Authenticator()

    wrong = await auth.call("POST", "/auth/passkeys/registration", tokens, password="not the one")
    neither = await auth.call("POST", "/auth/passkeys/registration", tokens)
    foreign = device.make(await _begun(auth, await auth.signed_in()))
    stolen = await auth.call("POST", "/auth/passkeys", tokens, credential=foreign, name="x")

    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
    assert neither.status_code == 422
    assert (stolen.status_code, stolen.json()["code"]) == (403, "passkey_refused")


async def _begun(auth, tokens):
    return (await auth.call("POST", "/auth/passkeys/registration", tokens, password=PASSWORD)).json()["public_key"]


async def test_a_challenge_is_answered_once_and_within_five_minutes(auth):
    tokens, device = await auth.signed_in(), Authenticator()
    await _added(auth, tokens, device)
    credential = device.use(await _options(auth))
    late = device.use(await _options(auth))

    first = await auth.http.post("/auth/passkeys/sign-in", json={"credential": credential})
    again = await auth.http.post("/auth/passkeys/sign-in", json={"credential": credential})
    auth.clock.advance(301)
    too_late = await auth.http.post("/auth/passkeys/sign-in", json={"credential": late})

    assert first.status_code == 200
    assert [(one.status_code, one.json()["code"]) for one in (again, too_late)] == [(401, "passkey_refused")] * 2


async def test_a_passkey_for_another_origin_or_without_its_user_is_refused(auth):
    tokens, device = await auth.signed_in(), Authenticator()
    await _added(auth, tokens, device)

    unverified = await _sign_in(auth, device, flags=USER_PRESENT)
    device.origin = "https://evil.example"
    elsewhere = await _sign_in(auth, device)
    device.origin = "http://localhost:8080"
    device.user_handle = bytes(16)
    another = await _sign_in(auth, device)
    stranger = await _sign_in(auth, Authenticator())

    codes = [one.json()["code"] for one in (unverified, elsewhere, another, stranger)]
    assert codes == ["passkey_refused"] * 4


async def test_a_copy_of_a_passkey_is_refused_and_told(auth):
    tokens, device = await auth.signed_in(), Authenticator()
    await _added(auth, tokens, device)
    for _ in range(3):
        assert (await _sign_in(auth, device)).status_code == 200
    before = len(await auth.events("auth.message-requested.v1", user_id=tokens["user_id"], kind="sign-in-changed"))

    device.count = 1
    copied = await _sign_in(auth, device)

    assert (copied.status_code, copied.json()["code"]) == (401, "passkey_refused")
    assert "passkey.copy_suspected" in await auth.acted(tokens)
    mails = await auth.events(
        "auth.message-requested.v1", at_least=before + 1, user_id=tokens["user_id"], kind="sign-in-changed"
    )
    assert len(mails) == before + 1


async def test_an_authenticator_that_keeps_no_count_may_be_used_again(auth):
    tokens, device = await auth.signed_in(), Authenticator(counts=False)
    await _added(auth, tokens, device)

    assert [(await _sign_in(auth, device)).status_code for _ in range(2)] == [200, 200]


async def test_a_passkey_steps_up_also_for_operators_who_need_a_second_factor(running):
    async with running(operator_second_factor=True) as auth:
        tokens, device = await auth.signed_in(), Authenticator()
        await _added(auth, tokens, device)
        async with auth.database.transaction() as session:
            await session.execute(text("UPDATE users SET operator = true"))
        without = await auth.call("POST", "/auth/step-up", tokens, password=PASSWORD)

        raised = await auth.call("POST", "/auth/step-up", tokens, passkey=await _proof(auth, tokens, device))

    assert (without.status_code, without.json()["code"]) == (409, "no_second_factor")
    claims = jwt.decode(raised.json()["access_token"], options={"verify_signature": False})
    assert (claims["acr"], claims["operator"]) == ("step-up", True)


async def test_a_passkey_proves_its_own_user_only(auth):
    tokens, device = await auth.signed_in(), Authenticator()
    other, theirs = await auth.signed_in(), Authenticator()
    await _added(auth, tokens, device)
    await _added(auth, other, theirs)

    foreign = await auth.call("POST", "/auth/step-up", tokens, passkey=await _proof(auth, tokens, theirs))
    for_sign_in = device.use(await _options(auth))
    misused = await auth.call("POST", "/auth/step-up", tokens, passkey=for_sign_in)
    both = await auth.call("POST", "/auth/step-up", tokens, password=PASSWORD, passkey=for_sign_in)

    assert [(one.status_code, one.json()["code"]) for one in (foreign, misused)] == [(403, "passkey_refused")] * 2
    assert both.status_code == 422


async def test_passkeys_are_renamed_and_removed_by_their_owner_only(auth):
    tokens, other = await auth.signed_in(), await auth.signed_in()
    passkey_id = (await _added(auth, tokens, Authenticator())).json()["id"]
    path = f"/auth/passkeys/{passkey_id}"

    theirs = await auth.call("PATCH", path, other, name="mine now")
    not_removed = await auth.call("POST", f"{path}/remove", other, password=PASSWORD)
    renamed = await auth.call("PATCH", path, tokens, name="old laptop")
    removed = await auth.call("POST", f"{path}/remove", tokens, password=PASSWORD)

    assert [(one.status_code, one.json()["code"]) for one in (theirs, not_removed)] == [(404, "unknown_passkey")] * 2
    assert renamed.json()["name"] == "old laptop"
    assert removed.status_code == 200
    assert (await auth.call("GET", "/auth/passkeys", tokens)).json()["items"] == []
    assert "passkey.removed" in await auth.acted(tokens)


async def test_the_last_way_in_stays(auth):
    tokens, device = await auth.signed_in(), Authenticator()
    passkey_id = (await _added(auth, tokens, device)).json()["id"]
    async with auth.database.transaction() as session:
        await session.execute(text("DELETE FROM credentials WHERE user_id = :id"), {"id": tokens["user_id"]})

    proof = await _proof(auth, tokens, device)
    answer = await auth.call("POST", f"/auth/passkeys/{passkey_id}/remove", tokens, passkey=proof)

    assert (answer.status_code, answer.json()["code"]) == (409, "last_way_in")
    assert (await _sign_in(auth, device)).status_code == 200


async def test_a_passkey_is_registered_once(auth):
    tokens, device = await auth.signed_in(), Authenticator()
    await _added(auth, tokens, device)
    other = await auth.signed_in()

    again = await _added(auth, other, device)

    assert (again.status_code, again.json()["code"]) == (409, "passkey_exists")


async def test_a_disabled_user_is_not_let_in_by_a_passkey(auth):
    tokens, device = await auth.signed_in(), Authenticator()
    await _added(auth, tokens, device)
    async with auth.database.transaction() as session:
        await session.execute(text("UPDATE users SET state = 'disabled' WHERE id = :id"), {"id": tokens["user_id"]})

    assert (await _sign_in(auth, device)).status_code == 401


async def test_beginning_to_sign_in_is_limited_by_network(auth):
    headers = {"x-forwarded-for": "10.77.0.9"}

    answers = [await auth.http.post("/auth/passkeys/sign-in/options", headers=headers) for _ in range(301)]

    assert [one.status_code for one in answers] == [200] * 300 + [429]


JUNK = st.recursive(
    st.one_of(st.text(max_size=20), st.integers(), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.sampled_from(["id", "rawId", "type", "response", "clientDataJSON", "attestationObject"]), junk=JUNK)
def test_a_malformed_credential_is_refused_and_breaks_nothing(where, junk):
    party, device = RelyingParty("http://127.0.0.1:8080"), Authenticator()
    credential = device.make({"user": {"id": "AAAA"}, "rp": {"id": "localhost"}, "challenge": "AAAA"})
    good = party.verify_registration(credential)
    part = credential["response"] if where in credential["response"] else credential
    if part[where] == junk:
        return

    part[where] = junk

    assert good.credential_id == device.id
    assert good.transports == ("internal",)
    with pytest.raises(PasskeyRefusedError):
        party.verify_registration(credential)


@settings(max_examples=80, deadline=None)
@given(noise=st.binary(max_size=200))
def test_noise_in_place_of_an_attestation_is_refused(noise):
    party, device = RelyingParty("https://fare.example"), Authenticator(origin="https://fare.example")
    credential = device.make({"user": {"id": "AAAA"}, "rp": {"id": "fare.example"}, "challenge": "AAAA"})
    assert challenge_in(credential) == bytes(3)
    credential["response"]["attestationObject"] = noise.hex()

    with pytest.raises(PasskeyRefusedError):
        party.verify_registration(credential)
