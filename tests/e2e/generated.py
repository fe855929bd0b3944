"""A generator of requests: for every described route, from the described and the undescribed alike."""

import asyncio
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import Product

# Not for callers, those that would end the session that the requests are made with, and the stream that does not end.
LEFT_OUT = "^/internal/|^/auth/logout|^/auth/sessions/|^/notifications/stream"
# Where a password is proved again: wrong ones would soon bar the one operator, whom other tests need, from signing in.
PROOFS = "^/auth/(step-up|totp|recovery-codes|password/change|email/change|me/deletion|account/(transfer|close))"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
)
TIMEOUT_S = 240
# Asked with an operator's token; of a customer, whom they refuse, they are asked in `make proofs`.
OPERATORS = "/operator"
# Each value that a description allows, and those just beside them; and, in `make proofs`, what is made up of them.
PHASES = ("coverage", pytest.param("fuzzing", marks=pytest.mark.proof))
MADE_UP = 20
CONFIG = Path(__file__).with_name("schemathesis.toml")


async def generate(
    product: Product, service: str, paths: str, *, but: str, token: str, folder: Path, phase: str
) -> tuple[int, str]:
    """The generator's exit code and report; the same requests each time."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(CONFIG), "run"),
        *(f"{product.url}/{service}/openapi.json", "--url", product.url),
        *("--header", f"Authorization: Bearer {token}"),
        *("--include-path-regex", paths, "--exclude-path-regex", but, "--checks", ",".join(CHECKS)),
        *("--phases", phase, "--max-examples", str(MADE_UP)),
        *("--generation-deterministic", "--no-shrink", "--continue-on-failure"),
        *("--suppress-health-check", "all", "--request-timeout", "20", "--warnings", "off"),
    ]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            report, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, report.decode(errors="replace")


def left_out_of(phase: str) -> str:
    """Which routes a customer's run of this phase leaves out."""
    return f"{LEFT_OUT}|{OPERATORS}" if phase == PHASES[0] else LEFT_OUT


async def check(product: Product, folder: Path, *, service: str, paths: str, token: str, phase: str, but: str) -> None:
    """Fails with the generator's report where a service breaks, or does not do what its description says."""
    code, report = await generate(product, service, paths, but=but, token=token, folder=folder, phase=phase)

    assert code == 0, report
    assert "Test cases:" in report
