"""The same routes under the names that other products' clients use."""

from fastapi import APIRouter

from billing.entrypoints.http.checkout import begin_checkout
from billing.entrypoints.http.subscription import open_portal
from billing.entrypoints.http.webhooks import receive_webhook
from billing.schemas.buying import Received

router = APIRouter(tags=["aliases"])
for path in ("/api/billing/checkout", "/api/stripe/create-checkout-session"):
    router.add_api_route(
        path, begin_checkout, methods=["POST"], status_code=201, summary="The same as POST /billing/checkout"
    )
router.add_api_route(
    "/api/stripe/create-portal-session", open_portal, methods=["POST"], summary="The same as POST /billing/portal"
)
router.add_api_route(
    "/api/stripe/webhook",
    receive_webhook,
    methods=["POST"],
    response_model=Received,
    summary="The same as POST /billing/webhooks/stripe",
)
