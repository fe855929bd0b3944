"""A call's hold as its gateway remembers it: enough to enter it again where Redis lost it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from urllib.parse import unquote
from uuid import UUID

from contracts.gateway import Allocation as BookedAllocation
from contracts.money import Unit
from gateway.admission.terms import quoted_plan
from gateway.admission.types import AdmissionRequest, Admitted, Allocation, Amounts, HeldCall

NO_SLICE: Final = "-"
UNITS: Final = {"r": "request", "t": "token", "c": "credit", "o": "credit"}
UNKNOWN_CALL: Final = "0|0|||0|0|0|0|0|||||"
"""A call of which a gateway knows no more than that it has ended."""

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID_LENGTH: Final = 36
_FIELDS: Final = 17
# What a named tuple's own constructor calls; that one is written in Python.
_new: Final = tuple.__new__


class Payer(Protocol):
    """Who pays and spends, and when a customer's hold ends."""

    @property
    def user_id(self) -> UUID | None: ...

    @property
    def project_id(self) -> UUID | None: ...

    @property
    def api_key_id(self) -> UUID | None: ...

    @property
    def expires_at(self) -> datetime | None: ...


class Stamped(Payer, Protocol):
    """What a call that no gateway keeps was given at admission."""

    @property
    def admitted_at(self) -> datetime: ...

    @property
    def plan_id(self) -> str | None: ...

    @property
    def plan_version(self) -> int | None: ...

    @property
    def markup_bps(self) -> int: ...

    @property
    def allocation(self) -> tuple[Allocation, ...]: ...


@dataclass(slots=True)
class Hold:
    """What a gateway keeps of an open call. `split` is `slice:unit=amount,...`, as scripts keep it."""

    request: AdmissionRequest
    admitted: Admitted
    admitted_ms: str
    people: str
    split: str

    @property
    def account_id(self) -> UUID:
        return self.request.account_id

    def packed(self) -> str:
        """As scripts take a call that they may not know."""
        admitted = self.admitted
        credit_nano, tokens, requests, overage_nano, rate_tokens, _ = admitted.amounts
        version = "" if admitted.plan_version is None else admitted.plan_version
        return (
            f"{self.admitted_ms}|{admitted.markup_bps}|{version}|{self.request.terms.quoted_plan}|"
            f"{credit_nano}|{tokens}|{overage_nano}|{requests}|{rate_tokens}|{self.people}|{self.split}"
        )

    def extended(self, amounts: Amounts, split: str) -> None:
        """The hold has grown; its `Admitted` says so to whoever reports the call."""
        self.split = split
        self.admitted.amounts = amounts
        self.admitted.allocation = allocation_of(split)


def packed_amounts(amounts: Amounts) -> str:
    credit_nano, tokens, requests, overage_nano, rate_tokens, _ = amounts
    return f"{credit_nano}|{tokens}|{overage_nano}|{requests}|{rate_tokens}"


def packed_stamped(call: Stamped, amounts: Amounts) -> str:
    """As `Hold.packed` says it, for a call that is known by what was stamped only.

    An allocation does not tell overage from credits: such an amount then counts against all credits.
    """
    version = "" if call.plan_version is None else call.plan_version
    split = ",".join(f"{one.slice_id}:{one.unit[0]}={one.amount}" for one in call.allocation)
    return (
        f"{milliseconds_of(call.admitted_at)}|{call.markup_bps}|{version}|{quoted_plan(call.plan_id)}|"
        f"{packed_amounts(amounts)}|{people_of(call)}|{split}"
    )


def people_of(request: Payer) -> str:
    return packed_people(request.user_id, request.project_id, request.api_key_id, expires_at=request.expires_at)


def packed_people(
    user: UUID | None, project: UUID | None, key: UUID | None, *, expires_at: datetime | None = None
) -> str:
    """As scripts take them."""
    return (
        f"{'' if user is None else f'{user.int:032x}'}|{'' if project is None else f'{project.int:032x}'}|"
        f"{'' if key is None else f'{key.int:032x}'}|"
        f"{'' if expires_at is None else milliseconds_of(expires_at)}"
    )


def allocation_of(split: str) -> tuple[Allocation, ...]:
    """What a split names; what stands on no slice is no allocation."""
    if "," not in split and split and split[0] != NO_SLICE:
        # Most calls stand on one slice.
        return (_new(Allocation, (split[:_ID_LENGTH], UNITS[split[_ID_LENGTH + 1]], int(split[_ID_LENGTH + 3 :]))),)
    if not split:
        return ()
    found = []
    for part in split.split(","):
        slice_id, _, amount = part.partition("=")
        if not slice_id.startswith(NO_SLICE):
            found.append(Allocation(slice_id[:_ID_LENGTH], UNITS[slice_id[-1]], int(amount)))
    return tuple(found)


def booked_allocation(allocation: Iterable[Allocation]) -> tuple[BookedAllocation, ...]:
    """The same as an event holds it."""
    return tuple(
        BookedAllocation(slice_id=UUID(one.slice_id), unit=Unit(one.unit), amount=one.amount) for one in allocation
    )


def held_call(account_id: UUID, call_id: UUID, entry: bytes) -> HeldCall:
    """What an entry in Redis says."""
    fields = entry.split(b"|", _FIELDS - 1)
    state, _, admitted, markup, version, plan, *amounts = (field.decode() for field in fields[:11])
    expires, split = fields[14].decode(), fields[15].decode()
    price, tokens, overage, requests, rate = map(int, amounts)
    return HeldCall(
        call_id=call_id,
        account_id=account_id,
        state=state,  # type: ignore[arg-type]  # the scripts write no other
        admitted_at=instant_of(int(admitted)),
        expires_at=instant_of(int(expires)) if expires else None,
        amounts=Amounts(price, tokens, requests, overage, rate),
        allocation=allocation_of(split),
        plan_id=plan_of(plan),
        plan_version=int(version) if version else None,
        markup_bps=int(markup),
        report=fields[16],
    )


def plan_of(quoted: str) -> str | None:
    return unquote(quoted) or None


def instant_of(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def milliseconds_of(instant: datetime) -> int:
    """Rounded up, so that a whole millisecond compares with the bound as it compares with the instant."""
    microseconds = (instant - _EPOCH) // _MICROSECOND
    return -(-microseconds // 1000)
