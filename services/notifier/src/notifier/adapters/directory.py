"""Who gets a mail, asked from auth, and where it leads, asked from billing."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from notifier.adapters.inside import Inside
from notifier.errors import NothingToSendError


class Recipient(BaseModel):
    """One person's address. Its text form holds no address, because text forms end up in logs."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    user_id: UUID | None = None
    address: str = Field(repr=False, max_length=320)
    link: str | None = Field(default=None, repr=False)
    locale: str | None = None
    details: dict[str, str] = Field(default_factory=dict, repr=False)


class _Recipients(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    recipients: list[Recipient]


class _Page(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    url: str | None


class Directory:
    """Auth's routes for addresses and links, and billing's for the pages of payments, where there is a billing."""

    def __init__(self, auth: Inside, billing: Inside | None) -> None:
        self._auth = auth
        self._billing = billing

    async def members(self, account_id: UUID, *, role: str) -> list[Recipient]:
        """The people who have this role in an account."""
        found = await self._auth.get(f"/internal/accounts/{account_id}/recipients", _Recipients, role=role)
        return found.recipients if found is not None else []

    async def message(self, message_id: UUID) -> Recipient:
        """To whom a message of auth's goes, with a link minted by this very question."""
        found = await self._auth.get(f"/internal/messages/{message_id}", Recipient)
        if found is None:
            raise NothingToSendError("auth knows no such message any more")
        return found

    async def payment_page(self, account_id: UUID, payment_id: str) -> str | None:
        """Where a payment is made, or confirmed; not every payment has such a page."""
        if self._billing is None:
            return None
        found = await self._billing.get(f"/internal/accounts/{account_id}/payments/{payment_id}/page", _Page)
        return found.url if found is not None else None
