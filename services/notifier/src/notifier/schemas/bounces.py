"""What a mail provider tells of addresses."""

from typing import Annotated

from pydantic import Field, SecretStr

from kit.http import RequestModel, ResponseModel
from notifier.service.suppression import BounceType


class Bounce(RequestModel):
    """One address and what happened to its mail."""

    address: Annotated[SecretStr, Field(min_length=3, max_length=320)]
    type: BounceType


class BouncesRequest(RequestModel):
    """What a provider's webhook says, in our words."""

    bounces: Annotated[list[Bounce], Field(min_length=1, max_length=500)]


class BouncesAnswer(ResponseModel):
    """How many of the addresses get no mail from now on."""

    suppressed: int
