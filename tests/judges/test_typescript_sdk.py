"""The official TypeScript SDK works against the gateway, and understands its refusals."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import signed_up

pytestmark = pytest.mark.judge

SOURCES = Path(__file__).parent / "typescript"


async def _run(*command: str, cwd: Path, node: Path) -> str:
    env = {**os.environ, "PATH": f"{node.parent}:{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), 110)
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_the_typescript_sdk_streams_is_refused_and_does_not_retry(
    product: Product, node: Path, tmp_path: Path
) -> None:
    for path in SOURCES.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    install = (str(node), str(npm)) if npm.exists() else ("npm",)
    await _run(*install, "ci", "--no-audit", "--no-fund", cwd=tmp_path, node=node)
    customer = await signed_up(product)

    output = await _run(
        str(node), "judge.mjs", product.url, customer.api_key, customer.api_key, cwd=tmp_path, node=node
    )

    seen = json.loads(output)
    assert seen["whole"]["type"] == "message"
    assert seen["stream"]["text"] > 0
    assert seen["badKey"] == {"name": "AuthenticationError", "status": 401, "type": "authentication_error"}
    assert seen["noModel"] == {"name": "NotFoundError", "status": 404, "type": "not_found_error"}
    assert (seen["dry"]["status"], seen["dry"]["type"]) == (402, "billing_error")
    assert seen["models"] > 10
