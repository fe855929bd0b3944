"""What an account wants to be warned of."""

from typing import Annotated

from pydantic import Field

from kit.http import RequestModel, ResponseModel
from ledger.schemas.amounts import PositiveCredits

Percent = Annotated[int, Field(strict=True, ge=1, le=99)]
Days = Annotated[int, Field(strict=True, ge=1, le=365)]


class LevelsRequest(RequestModel):
    """All levels, in place of those before; `usual` alone goes back to 25 %, 10 % and empty. Empty is always told."""

    usual: bool = Field(default=False, strict=True)
    percent: list[Percent] = Field(default=[], max_length=10)
    credits: list[PositiveCredits] = Field(default=[], max_length=10)
    days_left: list[Days] = Field(default=[], max_length=10)
    spend_spike_percent: int | None = Field(None, strict=True, ge=101, le=100_000)


class LevelsAnswer(ResponseModel):
    """Percent and credits left, days until empty by forecast, and a day's spend against the account's usual one."""

    usual: bool
    percent: list[int]
    credits: list[str]
    days_left: list[int]
    spend_spike_percent: int | None
