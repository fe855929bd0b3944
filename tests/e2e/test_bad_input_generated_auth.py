"""What a generator of requests finds at auth, which has the most routes."""

from pathlib import Path

import pytest
from tests.e2e.conftest import Product
from tests.e2e.generated import PHASES, check, left_out_of
from tests.e2e.test_the_story import signed_up

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(300)]

# Each path is asked some fifty times, so that all of them would take too long for one test.
PARTS = ["^/auth/[a-l]", "^/auth/[m-q]", "^/(auth/[r-z]|(?!auth/))"]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("paths", PARTS)
async def test_no_request_of_a_customer_breaks_auth_or_its_description(
    product: Product, tmp_path: Path, paths: str, phase: str
) -> None:
    token = (await signed_up(product)).token

    await check(product, tmp_path, service="auth", paths=paths, token=token, phase=phase, but=left_out_of(phase))
