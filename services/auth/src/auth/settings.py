"""Auth's settings; only `app.py` and `cli.py` read them."""

import base64
import binascii
import re
from typing import Final, Literal, Self

from pydantic import Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from auth.domain.outside import SIGNATURES, Provider, TrustedIssuer
from auth.domain.sign_up_proof import ProofKind
from auth.schemas.oauth import ConfiguredClient
from kit.settings import ServiceSettings

_SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}")


class AuthSettings(ServiceSettings):
    """`FAREGATE_AUTH_*` and what all services share."""

    model_config = SettingsConfigDict(env_prefix="FAREGATE_AUTH_", frozen=True, extra="ignore", populate_by_name=True)

    database_url: SecretStr
    key_encryption_key: SecretStr
    service_secret_hashes: dict[str, str]
    activation: Literal["at_once", "verified"] = "at_once"
    signups_per_hour: int | None = Field(None, ge=1, description="registrations from one network")
    signing_key_days: int = Field(30, ge=1, le=365, description="how long a signing key signs before the next one")
    deletion_grace_days: int = Field(14, ge=0, le=365)
    operator_second_factor: bool | None = Field(None, description="whether operators need one to step up")
    session_keys: bool = Field(
        default=False, description="whether `/login` gives keys of 30 days to those who cannot refresh"
    )
    programs: tuple[ConfiguredClient, ...] = Field((), description="programs that users may let in")
    refuse_disposable_addresses: bool | None = Field(None, description="whether registrations with them are refused")
    passkey_origins: tuple[str, ...] = Field((), description="further origins whose pages use passkeys of this domain")
    sign_up_proof: ProofKind = "off"
    proof_of_work_bits: int = Field(18, ge=1, le=28)
    captcha_verify_url: str | None = None
    captcha_secret: SecretStr | None = None
    sign_up_url: HttpUrl | None = Field(None, description="the product's own form, which has the captcha")
    providers: tuple[Provider, ...] = Field((), description="with whom one can sign in")
    trusted_issuers: tuple[TrustedIssuer, ...] = Field((), description="whose tokens are exchanged for ours")
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")

    @field_validator("key_encryption_key")
    @classmethod
    def _is_32_bytes(cls, value: SecretStr) -> SecretStr:
        try:
            raw = base64.b64decode(value.get_secret_value(), validate=True)
        except binascii.Error:
            raise ValueError("must be base64") from None
        if len(raw) != 32:
            raise ValueError("must be 32 bytes in base64")
        return value

    @field_validator("service_secret_hashes")
    @classmethod
    def _are_hashes(cls, value: dict[str, str]) -> dict[str, str]:
        for service, digest in value.items():
            if _SHA256_HEX.fullmatch(digest) is None:
                raise ValueError(f"{service}: must be a SHA-256 in 64 hex digits")
        return value

    @field_validator("providers")
    @classmethod
    def _are_complete(cls, value: tuple[Provider, ...]) -> tuple[Provider, ...]:
        if len({one.name for one in value}) != len(value):
            raise ValueError("a name stands there twice")
        return tuple(one.completed() for one in value)

    @field_validator("trusted_issuers")
    @classmethod
    def _is_safe_to_trust(cls, value: tuple[TrustedIssuer, ...]) -> tuple[TrustedIssuer, ...]:
        for one in value:
            unknown = set(one.algorithms) - SIGNATURES
            if unknown or not one.algorithms:
                raise ValueError(f"{one.name}: algorithms must be among {', '.join(sorted(SIGNATURES))}")
        if len({one.issuer for one in value}) != len(value):
            raise ValueError("an issuer stands there twice")
        return value

    @model_validator(mode="after")
    def _captcha_has_a_server(self) -> Self:
        if self.sign_up_proof == "siteverify" and not (self.captcha_verify_url and self.captcha_secret):
            raise ValueError("with siteverify, FAREGATE_AUTH_CAPTCHA_VERIFY_URL and _CAPTCHA_SECRET must be set")
        return self

    @property
    def encryption_key(self) -> bytes:
        return base64.b64decode(self.key_encryption_key.get_secret_value())

    @property
    def operators_need_second_factor(self) -> bool:
        wanted = self.operator_second_factor
        return self.environment == "production" if wanted is None else wanted

    @property
    def disposable_refused(self) -> bool:
        wanted = self.refuse_disposable_addresses
        return self.environment == "production" if wanted is None else wanted

    @property
    def sign_ups(self) -> int:
        return self.signups_per_hour or (100 if self.environment == "production" else 10_000)
