"""What the notifier asks at the moment of sending: links are in no event and no row of its own."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Request

from billing.errors import ServiceForbiddenError
from billing.schemas.managing import PaymentPage
from billing.service.confirming import Confirming
from kit.http import Problem
from kit.identity import ServiceDep

PaymentId = Annotated[str, Path(pattern=r"^[a-z]{2}_[A-Za-z0-9_]{1,250}$")]
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "No service token"},
    403: {"model": Problem, "description": "Another service's token"},
}

router = APIRouter(prefix="/internal", tags=["internal"], responses=_PROBLEMS)


@router.get("/accounts/{account_id}/payments/{payment_id}/page", summary="Where the customer pays or confirms it")
async def show_page(request: Request, account_id: UUID, payment_id: PaymentId, service: ServiceDep) -> PaymentPage:
    """Stripe's page of the invoice, or ours of a payment that the bank wants confirmed; null where there is none."""
    if service != "notifier":
        raise ServiceForbiddenError(f"The service {service} may not ask for this.")
    confirming: Confirming = request.app.state.confirming
    return PaymentPage(url=await confirming.find_page(account_id, payment_id))
