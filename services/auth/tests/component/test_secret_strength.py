"""What lets somebody in is drawn at random, and from too many to be guessed."""

from math import log2

import pytest

PASSWORD = "correct horse battery"


async def _refresh_token(auth, tokens):
    return tokens["refresh_token"].removeprefix("fgr_"), 64


async def _api_key(auth, tokens):
    """Without prefix and checksum."""
    return (await auth.make_key(tokens))["key"].removeprefix("fg_test_")[:-6], 62


async def _link(auth, tokens):
    return await auth.link_token(tokens["user_id"], kind="verify-email"), 64


async def _device_code(auth, _tokens):
    answer = await auth.http.post("/auth/device", data={"client_id": "editor"})
    return answer.json()["device_code"].removeprefix("fgd_"), 64


async def _recovery_code(auth, tokens):
    secret = (await auth.call("POST", "/auth/totp", tokens, password=PASSWORD)).json()["secret"]
    made = await auth.call("POST", "/auth/totp/confirm", tokens, code=auth.code(secret))
    return made.json()["recovery_codes"][0].replace("-", ""), 31


@pytest.mark.parametrize(
    ("drawn", "bits"),
    [(_refresh_token, 128), (_api_key, 128), (_link, 128), (_device_code, 128), (_recovery_code, 20)],
)
async def test_what_lets_somebody_in_is_random_and_too_long_to_guess(auth, drawn, bits):
    """Two draws are alike in few places: more, and a part of them would be known."""
    (one, letters), (other, _) = [await drawn(auth, await auth.signed_in()) for _ in range(2)]

    assert len(one) == len(other)
    assert len(one) * log2(letters) >= bits
    assert sum(a == b for a, b in zip(one, other, strict=True)) < len(one) / 2
