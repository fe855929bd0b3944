"""A hold's id says what the hold is, sealed: any gateway can end it, also when Redis has lost its memory."""

import base64
import hashlib
import hmac
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

import orjson

from gateway.admission.types import Allocation
from gateway.errors import ModelApiError

PREFIX: Final = "hold_"
MOST_CHARS: Final = 8_000
_MAC_BYTES: Final = 16
_PURPOSE: Final = b"faregate hold id, version 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldFacts:
    """All that the usage event of a customer's operation says, as it was stamped at admission.

    `surface` is the route of the idempotency key; `instance` the gateway that admitted it.
    """

    call_id: UUID
    account_id: UUID
    user_id: UUID | None
    project_id: UUID | None
    api_key_id: UUID | None
    surface: str
    instance: str
    operation: str
    unit: str
    quantity: int
    idempotency_key: str
    body_sha256: str
    price_book_version: int
    plan_id: str | None
    plan_version: int | None
    markup_bps: int
    admitted_at: datetime
    allocation: tuple[Allocation, ...]
    expires_at: datetime | None

    def packed(self) -> bytes:
        return orjson.dumps([
            self.call_id.hex,
            self.account_id.hex,
            *(one and one.hex for one in (self.user_id, self.project_id, self.api_key_id)),
            self.surface,
            self.instance,
            self.operation,
            self.unit,
            self.quantity,
            self.idempotency_key,
            self.body_sha256,
            self.price_book_version,
            self.plan_id,
            self.plan_version,
            self.markup_bps,
            _microseconds(self.admitted_at),
            self.expires_at and _microseconds(self.expires_at),
            [[UUID(one.slice_id).hex, one.unit, one.amount] for one in self.allocation],
        ])  # fmt: skip

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        said: list[Any] = orjson.loads(packed)
        call_id, account_id, *others = (one and UUID(one) for one in said[:5])
        return cls(
            call_id=call_id,
            account_id=account_id,
            user_id=others[0],
            project_id=others[1],
            api_key_id=others[2],
            surface=said[5],
            instance=said[6],
            operation=said[7],
            unit=said[8],
            quantity=said[9],
            idempotency_key=said[10],
            body_sha256=said[11],
            price_book_version=said[12],
            plan_id=said[13],
            plan_version=said[14],
            markup_bps=said[15],
            admitted_at=_instant(said[16]),
            expires_at=said[17] and _instant(said[17]),
            allocation=tuple(Allocation(str(UUID(one[0])), one[1], one[2]) for one in said[18]),
        )


class HoldSeal:
    """Makes and reads hold ids; the secret is shared by all gateways of an installation."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, hashlib.sha256)

    def hold_id(self, facts: HoldFacts) -> str:
        packed = zlib.compress(facts.packed(), 9)
        return PREFIX + _text(self._mac(packed) + packed)

    def facts(self, hold_id: str, *, account_id: UUID) -> HoldFacts:
        """Raises `ModelApiError` 404 for what is no hold of this account: nobody learns which of the two it is."""
        sealed = _bytes(hold_id)
        mac, packed = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(packed)):
            raise unknown_hold()
        facts = HoldFacts.unpacked(zlib.decompress(packed))
        if facts.account_id != account_id:
            raise unknown_hold()
        return facts

    def _mac(self, packed: bytes) -> bytes:
        return hmac.digest(self._key, packed, hashlib.sha256)[:_MAC_BYTES]


def unknown_hold() -> ModelApiError:
    return ModelApiError(404, "hold: there is no such hold")


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _bytes(hold_id: str) -> bytes:
    text = hold_id.removeprefix(PREFIX)
    if not hold_id.startswith(PREFIX) or len(text) > MOST_CHARS or not text.isascii():
        raise unknown_hold()
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise unknown_hold() from None


def _microseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000_000)


def _instant(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC)
