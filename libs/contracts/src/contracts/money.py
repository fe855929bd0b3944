"""The units and small shapes that several events share."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

NANO_PER_CREDIT: Final = 1_000_000_000
MAX_AMOUNT: Final = 9 * 10**15
"""Above this an amount is refused (money.md 2): Lua's numbers are doubles."""

Currency = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]
BasisPoints = Annotated[int, Field(ge=0, le=1_000_000)]


class Unit(StrEnum):
    """What is counted; credits travel as nano-credits."""

    CREDIT = "credit"
    TOKEN = "token"  # noqa: S105  # a unit, not a secret
    REQUEST = "request"


AccountState = Literal["open", "frozen", "closed"]
