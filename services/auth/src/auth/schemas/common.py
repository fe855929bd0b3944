"""What several bodies are made of."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from auth.domain.passwords import LONGEST, SHORTEST
from kit.http import ResponseModel

Address = Annotated[str, StringConstraints(min_length=3, max_length=254)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


def unicode(value: SecretStr) -> SecretStr:
    try:
        value.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode") from None
    return value


NewPassword = Annotated[SecretStr, AfterValidator(unicode), Field(min_length=SHORTEST, max_length=LONGEST)]
Secret = Annotated[SecretStr, AfterValidator(unicode), Field(min_length=1, max_length=512)]
Code = Annotated[SecretStr, AfterValidator(unicode), Field(min_length=6, max_length=32)]


class StatusAnswer(ResponseModel):
    """The same for known and unknown addresses."""

    status: Literal["ok"] = "ok"
