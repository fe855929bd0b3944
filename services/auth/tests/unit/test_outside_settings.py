import base64
import json

import pytest
from pydantic import ValidationError

from auth.settings import AuthSettings

REQUIRED = {
    "FAREGATE_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "FAREGATE_PUBLIC_URL": "https://fare.example",
    "FAREGATE_AUTH_URL": "http://127.0.0.1:2",
    "FAREGATE_AUTH_PORT": "2",
    "FAREGATE_AUTH_DATABASE_URL": "postgresql://x/y",
    "FAREGATE_AUTH_KEY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
    "FAREGATE_AUTH_SERVICE_SECRET_HASHES": "{}",
}


@pytest.fixture
def load(monkeypatch):
    def read(**given):
        for name, value in {
            **REQUIRED,
            **{f"FAREGATE_AUTH_{name}": json.dumps(one) for name, one in given.items()},
        }.items():
            monkeypatch.setenv(name, value)
        return AuthSettings()

    return read


def test_providers_and_issuers_are_read_from_the_environment_and_completed(load):
    google = {"name": "google", "kind": "google", "client_id": "x", "client_secret": "shh"}
    clerk = {
        "name": "clerk",
        "issuer": "https://clerk.example",
        "jwks_url": "https://clerk.example/jwks",
        "audience": "faregate",
        "claims": {"account": "org_id", "email_verified": None},
        "roles": {"org:admin": "admin"},
    }

    settings = load(PROVIDERS=[google], TRUSTED_ISSUERS=[clerk])

    provider, issuer = settings.providers[0], settings.trusted_issuers[0]
    assert (provider.issuer, provider.scopes, provider.title) == (
        "https://accounts.google.com",
        ("openid", "email"),
        "Google",
    )
    assert "shh" not in repr(settings)
    assert (issuer.claims.account, issuer.claims.email, issuer.claims.email_verified) == ("org_id", "email", None)
    assert (issuer.roles, issuer.create_users, issuer.algorithms) == ({"org:admin": "admin"}, False, ("RS256",))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("PROVIDERS", [{"name": "x", "kind": "google", "client_id": "x", "client_secret": "y", "colour": "red"}]),
        ("PROVIDERS", [{"name": "x", "kind": "oidc", "client_id": "x", "client_secret": "y"}]),
        ("PROVIDERS", [{"name": "x", "kind": "google", "client_id": "x", "client_secret": "y"}] * 2),
        ("TRUSTED_ISSUERS", [{"name": "x", "issuer": "https://x.example", "audience": "y"}]),
        ("TRUSTED_ISSUERS", [{"name": "x", "issuer": "i", "jwks_url": "j", "audience": "y", "default_role": "king"}]),
    ],
)
def test_what_cannot_be_meant_is_refused(load, name, wrong):
    with pytest.raises(ValidationError):
        load(**{name: wrong})
