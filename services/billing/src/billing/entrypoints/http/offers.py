"""What is for sale; anyone may look."""

from fastapi import APIRouter, Request

from billing.schemas.buying import Offer, Offers
from billing.service.catalogue import list_offers
from kit.clock import Clock
from kit.database import Database

router = APIRouter(prefix="/billing", tags=["offers"])


@router.get("/offers", summary="Plans and bundles at this moment's terms")
async def show_offers(request: Request) -> Offers:
    database: Database = request.app.state.database
    clock: Clock = request.app.state.clock
    async with database.reading() as session:
        return Offers(items=[Offer.of(terms) for terms in await list_offers(session, now=clock.now())])
