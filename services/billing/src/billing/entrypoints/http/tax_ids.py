"""The account's tax ids, without a way over Stripe's own pages."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from billing.entrypoints.http.access import BuyerDep, write_of
from billing.schemas.taxes import TaxIdAnswer, TaxIdRequest, TaxIds
from billing.service.tax_ids import TaxIdDesk
from kit.idempotency import IdempotencyKey

router = APIRouter(prefix="/billing/tax-ids", tags=["tax ids"])
TaxIdPath = Annotated[str, Path(pattern=r"^txi_[A-Za-z0-9_]{1,250}$")]


async def _desk(request: Request) -> TaxIdDesk:
    desk: TaxIdDesk = request.app.state.tax_ids
    return desk


DeskDep = Annotated[TaxIdDesk, Depends(_desk)]


@router.get("", summary="The account's tax ids, as they stand on its invoices")
async def list_tax_ids(buyer: BuyerDep, desk: DeskDep) -> TaxIds:
    return TaxIds.of(await desk.show(buyer.account_id), automatic_tax=await desk.automatic())


@router.post("", status_code=201, summary="Add a tax id; it stands on the invoices that follow")
async def add_tax_id(
    request: Request, buyer: BuyerDep, desk: DeskDep, *, body: TaxIdRequest, key: IdempotencyKey
) -> TaxIdAnswer:
    write = write_of(request, buyer.account_id, key, **body.model_dump(mode="json"))
    return TaxIdAnswer.model_validate(await desk.add(write, kind=body.type, value=body.value))


@router.delete("/{tax_id}", summary="Remove a tax id")
async def remove_tax_id(
    request: Request, buyer: BuyerDep, desk: DeskDep, *, tax_id: TaxIdPath, key: IdempotencyKey
) -> TaxIdAnswer:
    write = write_of(request, buyer.account_id, key, tax_id=tax_id)
    return TaxIdAnswer.model_validate(await desk.remove(write, tax_id))
