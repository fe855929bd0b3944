"""Outside identities of the caller."""

from datetime import datetime
from uuid import UUID

from kit.http import ResponseModel


class IdentityAnswer(ResponseModel):
    """Somebody who vouches for the caller; `subject` is their own name for them."""

    id: UUID
    provider: str
    issuer: str
    subject: str
    created_at: datetime
    last_used_at: datetime


class IdentitiesAnswer(ResponseModel):
    items: list[IdentityAnswer]


class BeginLinkAnswer(ResponseModel):
    """Where to send the browser, which comes back to a page that says how it went."""

    address: str
