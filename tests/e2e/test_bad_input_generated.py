"""What a generator of requests finds at ledger, billing, notifier and gateway, and at every operator's route."""

from pathlib import Path

import pytest
from tests.e2e.conftest import Product
from tests.e2e.generated import LEFT_OUT, OPERATORS, PHASES, PROOFS, check, left_out_of
from tests.e2e.test_the_story import signed_up

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(300)]

SERVICES = ("notifier", "ledger", "billing", "gateway")
# Not the gateway: whoever may switch its providers off does so for every other test.
OF_OPERATORS = ("auth", "ledger", "billing")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("service", SERVICES)
async def test_no_request_of_a_customer_breaks_a_service_or_its_description(
    product: Product, tmp_path: Path, service: str, phase: str
) -> None:
    token = (await signed_up(product)).token
    but = left_out_of(phase) if service in OF_OPERATORS else LEFT_OUT

    await check(product, tmp_path, service=service, paths=".", token=token, phase=phase, but=but)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("service", OF_OPERATORS)
async def test_no_request_of_an_operator_breaks_a_service_or_its_description(
    product: Product, tmp_path: Path, service: str, phase: str
) -> None:
    token, but = await product.operator_token(), f"{LEFT_OUT}|{PROOFS}"

    await check(product, tmp_path, service=service, paths=OPERATORS, token=token, phase=phase, but=but)
