"""What is for sale; anyone may look."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from billing.entrypoints.http.accepting import prefers_html
from billing.entrypoints.http.offers_page import offers_page
from billing.schemas.buying import Offer, Offers
from billing.service.catalogue import list_offers
from kit.clock import Clock
from kit.database import Database

router = APIRouter(prefix="/billing", tags=["offers"])


@router.get(
    "/offers",
    summary="Plans and bundles at this moment's terms; a page for browsers",
    response_model=Offers,
    responses={200: {"content": {HTMLResponse.media_type: {"schema": {"type": "string"}}}}},
)
async def show_offers(request: Request, response: Response) -> Offers | HTMLResponse:
    database: Database = request.app.state.database
    clock: Clock = request.app.state.clock
    async with database.reading() as session:
        offers = [Offer.of(terms) for terms in await list_offers(session, now=clock.now())]
    if prefers_html(request.headers.get("accept", "")):
        return offers_page(offers)
    response.headers["vary"] = "accept"
    return Offers(items=offers)
