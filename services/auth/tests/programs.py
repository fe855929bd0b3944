"""What a program does to get tokens, step by step."""

import base64
import hashlib
import secrets
from urllib.parse import parse_qs, urlencode, urlsplit

CALLBACK = "http://127.0.0.1:51234/callback"
WEB = "https://edie.example/cb"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
PASSWORD = "correct horse battery"


def pkce() -> tuple[str, str]:
    verifier = secrets.token_urlsafe(40)
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return verifier, made


def request_of(challenge: str, **changed: str) -> str:
    asked = {
        "response_type": "code",
        "client_id": "editor",
        "redirect_uri": CALLBACK,
        "state": "s t&te",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **changed,
    }
    return "/auth/authorize?" + urlencode({name: value for name, value in asked.items() if value is not None})


def answer_in(location: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def code_for(browser, challenge, **changed) -> str:
    page = await browser.open(request_of(challenge, **changed))
    assert page.status_code == 200, page.text
    allowed = await browser.send("/auth/pages/consent", decision="allow")
    assert allowed.status_code == 303, allowed.text
    return answer_in(allowed.headers["location"])["code"]


async def exchange(auth, code, verifier, **changed):
    form = {
        "grant_type": "authorization_code",
        "client_id": "editor",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": CALLBACK,
        **changed,
    }
    return await auth.http.post("/auth/token", data=form)


async def tokens_for(auth, browser, **changed) -> dict:
    verifier, challenge = pkce()
    answer = await exchange(auth, await code_for(browser, challenge, **changed), verifier)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refreshed(auth, token, client_id="editor"):
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
    return await auth.http.post("/auth/token", data=form)


def error_in(answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["error_description"]
    return answer.status_code, answer.json()["error"]
