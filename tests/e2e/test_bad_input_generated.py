"""What a generator of requests finds at ledger, billing, notifier and gateway, and at every operator's route."""

from pathlib import Path

import pytest
from tests.e2e.conftest import Product
from tests.e2e.generated import LEFT_OUT, PROOFS, check
from tests.e2e.test_the_story import signed_up

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(180)]

# A service and which of its paths; some have many, and each of them is asked some fifty times.
PARTS = (
    ("notifier", "^/notifications/endpoints"),
    ("notifier", "^/(?!notifications/endpoints)"),
    *((service, ".") for service in ("ledger", "billing", "gateway")),
)
# Not the gateway: whoever may switch its providers off does so for every other test.
OPERATORS = ("auth", "ledger", "billing")


@pytest.mark.parametrize(("service", "paths"), PARTS)
async def test_no_request_of_a_customer_breaks_a_service_or_its_description(
    product: Product, tmp_path: Path, service: str, paths: str
) -> None:
    await check(product, tmp_path, service=service, paths=paths, token=(await signed_up(product)).token)


@pytest.mark.parametrize("service", OPERATORS)
async def test_no_request_of_an_operator_breaks_a_service_or_its_description(
    product: Product, tmp_path: Path, service: str
) -> None:
    token, but = await product.operator_token(), f"{LEFT_OUT}|{PROOFS}"

    await check(product, tmp_path, service=service, paths="/operator", token=token, but=but)
