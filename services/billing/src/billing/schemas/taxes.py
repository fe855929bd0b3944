"""What the routes about taxes take and answer."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, StringConstraints

from billing.domain.tax_ids import TaxId
from kit.http import RequestModel, ResponseModel

TaxIdType = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}_[a-z0-9_]{2,20}$")]
TaxIdValue = Annotated[str, StringConstraints(min_length=2, max_length=40, pattern=r"^[0-9A-Za-z][0-9A-Za-z .+*/-]*$")]


class TaxIdRequest(RequestModel):
    """A type of Stripe's, such as `eu_vat`, and the number as the tax office wrote it."""

    type: TaxIdType
    value: TaxIdValue


class TaxIdView(ResponseModel):
    id: str
    type: str
    value: str
    country: str | None
    verification: str


class TaxIds(ResponseModel):
    """While `automatic_tax` is off no tax is computed or asked for, whatever stands here."""

    items: list[TaxIdView]
    automatic_tax: bool = Field(description="whether taxes are computed and added to what is paid from now on")

    @classmethod
    def of(cls, found: Sequence[TaxId], *, automatic_tax: bool) -> "TaxIds":
        items = [
            TaxIdView(id=one.id, type=one.kind, value=one.value, country=one.country, verification=one.verification)
            for one in found
        ]
        return cls(items=items, automatic_tax=automatic_tax)


class TaxIdAnswer(ResponseModel):
    id: str
