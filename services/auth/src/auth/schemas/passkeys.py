"""Passkeys: what browsers are asked, what they answer, what lists show."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field

from auth.schemas.common import Label
from kit.http import RequestModel, ResponseModel

_DEEP_MOST = 4
_MEMBERS_MOST = 32
_CHARS_MOST = 16_384


def _is_plain(value: dict[str, Any]) -> dict[str, Any]:
    """A credential is a small object of texts; anything else is no answer of a browser's."""
    if not _small(value, _DEEP_MOST):
        raise ValueError("is no credential of `navigator.credentials`")
    return value


def _small(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return len(value) <= _CHARS_MOST and "\x00" not in value and value.isprintable()
    if isinstance(value, dict | list):
        members = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and len(members) <= _MEMBERS_MOST and all(_small(one, depth - 1) for one in members)
    return value is None or isinstance(value, bool | int)


CredentialJson = Annotated[dict[str, Any], AfterValidator(_is_plain)]
"""What `PublicKeyCredential.toJSON()` makes."""


class PasskeyOptionsAnswer(ResponseModel):
    """For `PublicKeyCredential.parseCreationOptionsFromJSON` or `…RequestOptionsFromJSON`; good once, for 5 minutes."""

    public_key: dict[str, Any]


class AddPasskeyRequest(RequestModel):
    credential: CredentialJson
    name: Label = Field(description="what its user calls it")


class RenamePasskeyRequest(RequestModel):
    name: Label


class PasskeySignInRequest(RequestModel):
    credential: CredentialJson


class PasskeyAnswer(ResponseModel):
    """A passkey; `synced` says that its maker keeps copies of it."""

    id: UUID
    name: str
    synced: bool
    created_at: datetime
    last_used_at: datetime | None


class PasskeysAnswer(ResponseModel):
    items: list[PasskeyAnswer]
