"""A body that each described route would take, but for credentials, versions and ids that nobody has."""

import base64
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from tests.e2e.test_the_story import MODEL, QUESTION

PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
CALL = {"model": MODEL, "max_tokens": 16, "messages": QUESTION}
CHAT = {"model": "sandbox-gpt", "messages": QUESTION}
PASSKEY = {"credential": {"id": "nothing", "response": {}}}
LINK = {"token": "fgl_nothing"}
SIGN_IN = {"email": "nobody@example.com", "password": "a long enough password"}
PROOF = {"password": "not the password", "code": "000000"}
ORDER = {
    "offer": "nothing",
    "amount": "10",
    "seats": 1,
    "currency": "usd",
    "success_url": "http://localhost/",
    "cancel_url": "http://localhost/",
}
RETURN = {"return_url": "http://localhost/"}
CHANGE = {"plan": "nothing", "seats": 1}
SWITCH = {"expected_version": 7, "reason": "a test"}
SPECS: Mapping[str, dict[str, Any]] = {
    "providers": {"kind": "anthropic", "address": "http://localhost", "credentials": []},
    "models": {"display_name": "A test"},
    "aliases": {"model": MODEL},
    "routes": {"provider": "anthropic", "models": [MODEL]},
    "route-sets": {"routes": []},
}
# What each route that takes JSON would accept, but for credentials, versions and ids that nobody has.
BODIES: Mapping[str, dict[str, Any]] = {
    **{f"PUT /gateway/operator/{kind}/{{name}}": {"spec": spec, **SWITCH} for kind, spec in SPECS.items()},
    **{f"PATCH /gateway/operator/{kind}/{{name}}": {"changes": {"enabled": True}, **SWITCH} for kind in SPECS},
    **{f"/gateway/operator/{kind}/{{name}}/{verb}": SWITCH for kind in SPECS for verb in ("enable", "disable")},
    **dict.fromkeys(("/auth/register", "/register", "/api/auth/signup"), SIGN_IN),
    **dict.fromkeys(("/auth/login", "/login", "/api/auth/login"), SIGN_IN),
    "/auth/refresh": {"refresh_token": "fgr_nothing"},
    "/auth/logout": {"all": False},
    "/api/auth/logout": {"all": False},
    "/auth/verify-email": LINK,
    "/auth/password/forgot": {"email": "nobody@example.com"},
    "/auth/password/reset": {**LINK, "new_password": "a long enough password"},
    "/auth/password/change": {**PROOF, "new_password": "a long enough password"},
    "/auth/email/change": {**PROOF, "email": "nobody@example.com"},
    "/auth/email/confirm": LINK,
    "POST /auth/me/deletion": PROOF,
    "/auth/totp": PROOF,
    "/auth/totp/confirm": {"code": "000000"},
    "/auth/totp/remove": PROOF,
    "/auth/recovery-codes": PROOF,
    "/auth/step-up": PROOF,
    "/auth/identities/{identity_id}/remove": PROOF,
    "/auth/identities/{provider}/begin": PROOF,
    "/auth/magic-links": {"email": "nobody@example.com"},
    "POST /auth/passkeys": {**PASSKEY, "name": "x"},
    "/auth/passkeys/{passkey_id}": {"name": "x"},
    "/auth/passkeys/{passkey_id}/remove": PROOF,
    "/auth/passkeys/registration": PROOF,
    "/auth/passkeys/sign-in": PASSKEY,
    "/auth/accounts": {"name": "x"},
    "/auth/account": {"name": "x", "budgets": []},
    "/auth/account/transfer": {**PROOF, "user_id": str(uuid4())},
    "/auth/account/close": PROOF,
    "/auth/switch": {"account_id": str(uuid4())},
    "PATCH /auth/members/{user_id}": {"role": "user", "budgets": []},
    "POST /auth/invitations": {"email": "nobody@example.com", "role": "user"},
    "/auth/invitations/accept": LINK,
    "POST /auth/projects": {"name": "x", "budgets": []},
    "PATCH /auth/projects/{project_id}": {"name": "x", "state": "active", "budgets": []},
    "POST /auth/api-keys": {"name": "x", "mode": "test", "project_id": str(uuid4()), "expires_in_days": 1},
    "PATCH /auth/api-keys/{key_id}": {"name": "x", "budgets": []},
    "/auth/api-keys/{key_id}/rotate": {"overlap_s": 0},
    "POST /auth/projects/{project_id}/shares": {"with_project_id": str(uuid4()), "access": "read"},
    "POST /auth/service-accounts": {"name": "x", "role": "user", "budgets": []},
    "PATCH /auth/service-accounts/{machine_id}": {"name": "x", "role": "user", "state": "active", "budgets": []},
    "/auth/operator/users/{user_id}/impersonate": {"reason": "a test", "minutes": 1},
    "POST /auth/operator/clients": {
        "name": "x",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "scopes": ["models"],
        "confidential": False,
        "reason": "a test",
    },
    "PATCH /auth/operator/clients/{client_id}": {"name": "x", "state": "disabled", "reason": "a test"},
    "/auth/operator/users/{user_id}/state": {"reason": "a test", "state": "disabled"},
    "/auth/operator/users/{user_id}/sessions/end": {"reason": "a test"},
    "/auth/operator/users/{user_id}/second-factor/reset": {"reason": "a test"},
    "/auth/operator/accounts/{account_id}/state": {"reason": "a test", "state": "frozen"},
    "/ledger/operator/adjustments": {
        "account_id": str(uuid4()),
        "amount_credits": "1",
        "reason": "a test",
        "expires_in_days": 1,
        "allow_debt": False,
    },
    "/ledger/operator/refunds": {
        "account_id": str(uuid4()),
        "request_id": str(uuid4()),
        "amount_credits": "1",
        "reason": "a test",
    },
    "/ledger/operator/promos": {
        "code": "nobody-has-this",
        "unit": "credit",
        "amount": "1",
        "valid_days": 1,
        "most": 1,
        "expires_at": "2020-01-01T00:00:00Z",
        "reason": "a test",
    },
    "/ledger/operator/accounts/{account_id}/freeze": {"reason": "a test"},
    "/ledger/operator/accounts/{account_id}/thaw": {"reason": "a test"},
    "/ledger/promos/redeem": {"code": "nobody-has-this"},
    "/ledger/levels": {"usual": True},
    "PUT /notifications/preferences/{kind}": {"mail": "off"},
    "PUT /notifications/schedule": {
        "time_zone": "UTC",
        "quiet_from": "22:00",
        "quiet_until": "07:00",
        "digest_at": "08:00",
    },
    "POST /notifications/endpoints": {
        "url": "https://127.0.0.1/nowhere",
        "description": "x",
        "channel": "webhook",
        "kinds": ["credit-empty"],
        "language": "en",
    },
    "PATCH /notifications/endpoints/{endpoint_id}": {
        "url": "https://127.0.0.1/nowhere",
        "description": "x",
        "kinds": ["credit-empty"],
        "language": "en",
        "state": "active",
    },
    "/notifications/endpoints/{endpoint_id}/secret": {"overlap_s": 0},
    "/notifications/endpoints/{endpoint_id}/replay": {
        "since": "2020-01-01T00:00:00Z",
        "until": "2020-01-02T00:00:00Z",
        "all": True,
    },
    "/notifications/bounces": {"bounces": [{"address": "nobody@example.com", "type": "soft"}]},
    "/billing/checkout": ORDER,
    "/api/billing/checkout": ORDER,
    "/api/stripe/create-checkout-session": ORDER,
    "/billing/portal": RETURN,
    "/api/stripe/create-portal-session": RETURN,
    "/billing/subscription/preview": CHANGE,
    "/billing/subscription/change": {**CHANGE, "previewed_at": "2020-01-01T00:00:00Z"},
    "/billing/subscription/cancel": {"when": "now"},
    "/billing/pay-per-use": {"plan": "nothing"},
    "/billing/overage": {"ceiling": "5"},
    "/billing/tax-ids": {"type": "eu_vat", "value": "DE123456789"},
    "/billing/auto-top-up": {"below": "5", "amount": "10", "daily_cap": "20", "monthly_cap": "100"},
    "/billing/operator/paths/{path}": {"state": "open", "account_id": str(uuid4()), "reason": "a test"},
    "/v1/messages": CALL,
    "/v1/messages/count_tokens": {"model": MODEL, "messages": QUESTION},
    "/v1/chat/completions": {**CHAT, "max_completion_tokens": 16, "stream": False},
    "/v1/responses": {"model": "sandbox-gpt", "input": "Hello", "max_output_tokens": 16, "stream": False},
    "/v1/embeddings": {"model": "sandbox-embedding", "input": "Hello"},
    "/v1/quote": {**CALL, "max_tokens": 16},
    "/v1/holds": {"operation": "a_test", "quantity": 1, "unit": "image", "project": str(uuid4()), "expires_in_s": 60},
    "/v1/holds/{hold_id}/confirm": {"quantity": 1},
    "/v1/usage": {"operation": "a_test", "quantity": 1, "unit": "image", "project": str(uuid4())},
    "/api/claude/stream": {"messages": QUESTION, "image": PICTURE, "model": MODEL, "max_tokens": 16},
    "/api/v1/llm/invoke": {"messages": QUESTION, "model": MODEL, "max_tokens": 16},
    "/api/v1/llm/test": {"prompt": "Hello", "model": MODEL, "max_tokens": 16},
    "/generate": {"prompt": "Hello", "model": MODEL, "max_tokens": 16},
}
