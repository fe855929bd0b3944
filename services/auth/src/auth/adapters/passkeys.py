"""WebAuthn ceremonies by the `webauthn` package. User verification is asked for: a passkey is two factors in one."""

import hashlib
import json
import secrets
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from webauthn.helpers import base64url_to_bytes, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from auth.domain.passkeys import CHALLENGE_S, Passkey
from auth.errors import PasskeyRefusedError

RP_NAME: Final = "Faregate"
_CHALLENGE_BYTES: Final = 32
_TIMEOUT_MS: Final = int(CHALLENGE_S * 1000)
_VERIFIED: Final = UserVerificationRequirement.REQUIRED
# What the package raises, and what its parsers of CBOR and base64 let through for bytes that are neither.
_MALFORMED: Final = (WebAuthnException, ValueError, KeyError, TypeError, IndexError, struct.error, OverflowError)
Credential = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A credential that an authenticator made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    backed_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asserted:
    """A use of a credential whose signature is right; whether its count grew is for the caller to judge."""

    sign_count: int
    backed_up: bool


class RelyingParty:
    """Who passkeys are made for: a domain and the origins of its pages."""

    def __init__(self, public_url: str, *, more_origins: Sequence[str] = ()) -> None:
        parts = urlsplit(public_url)
        host = parts.hostname or "localhost"
        if _is_address(host):
            # Browsers make no passkeys for addresses; on one's own machine the same pages are at `localhost`.
            host = "localhost"
        port = f":{parts.port}" if parts.port else ""
        self.id = host
        self.origins = [f"{parts.scheme}://{host}{port}", *more_origins]

    def registration(self, user_id: UUID, *, name: str, known: Sequence[Passkey]) -> tuple[bytes, dict[str, Any]]:
        """A challenge, and the options for `navigator.credentials.create`."""
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        options = webauthn.generate_registration_options(
            rp_id=self.id,
            rp_name=RP_NAME,
            user_id=user_id.bytes,
            user_name=name,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_VERIFIED
            ),
            exclude_credentials=_descriptors(known),
        )
        return challenge, _as_json(options)

    def assertion(self, known: Sequence[Passkey] = ()) -> tuple[bytes, dict[str, Any]]:
        """A challenge, and the options for `navigator.credentials.get`; without known ones any of this site will do."""
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        options = webauthn.generate_authentication_options(
            rp_id=self.id,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            allow_credentials=_descriptors(known),
            user_verification=_VERIFIED,
        )
        return challenge, _as_json(options)

    def verify_registration(self, credential: Credential) -> Registered:
        """Raises `PasskeyRefusedError`. The challenge is the one in the credential: the caller must know it."""
        try:
            found = webauthn.verify_registration_response(
                credential=dict(credential),
                expected_challenge=challenge_in(credential),
                expected_rp_id=self.id,
                expected_origin=self.origins,
                require_user_verification=True,
            )
        except _MALFORMED as error:
            raise _refused(error) from None
        return Registered(
            credential_id=found.credential_id,
            public_key=found.credential_public_key,
            sign_count=found.sign_count,
            transports=_transports(credential),
            backed_up=found.credential_backed_up,
        )

    def verify_assertion(self, credential: Credential, passkey: Passkey) -> Asserted:
        """The same for a use of a known passkey."""
        try:
            found = webauthn.verify_authentication_response(
                credential=dict(credential),
                expected_challenge=challenge_in(credential),
                expected_rp_id=self.id,
                expected_origin=self.origins,
                credential_public_key=passkey.public_key,
                # Judged by the caller, who has to tell a copy of the key from a wrong signature.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except _MALFORMED as error:
            raise _refused(error) from None
        return Asserted(sign_count=found.new_sign_count, backed_up=found.credential_backed_up)


def challenge_in(credential: Credential) -> bytes:
    """The challenge that a credential says it answers."""
    try:
        client_data = base64url_to_bytes(credential["response"]["clientDataJSON"])
        return parse_client_data_json(client_data).challenge
    except (*_MALFORMED, AttributeError) as error:
        raise _refused(error) from None


def credential_id_in(credential: Credential) -> bytes:
    try:
        return base64url_to_bytes(credential["rawId"])
    except (*_MALFORMED, AttributeError) as error:
        raise _refused(error) from None


def user_id_in(credential: Credential) -> UUID | None:
    """Whose passkey the authenticator says this is; not all say it."""
    try:
        handle = credential["response"].get("userHandle")
        return UUID(bytes=base64url_to_bytes(handle)) if handle else None
    except (*_MALFORMED, AttributeError) as error:
        raise _refused(error) from None


def challenge_hash(challenge: bytes) -> bytes:
    return hashlib.sha256(challenge).digest()


def _descriptors(known: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=one.credential_id, transports=[AuthenticatorTransport(transport) for transport in one.transports]
        )
        for one in known
    ]


def _transports(credential: Credential) -> tuple[str, ...]:
    named = credential["response"].get("transports") or ()
    known = {one.value for one in AuthenticatorTransport}
    return tuple(sorted({one for one in named if isinstance(one, str)} & known))


def _as_json(options: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return made


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _refused(error: Exception) -> PasskeyRefusedError:
    return PasskeyRefusedError(f"The passkey is refused: {type(error).__name__}.", field="credential")
