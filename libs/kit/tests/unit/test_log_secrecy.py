"""What could hold a secret or an address never reaches the log, whoever wrote the line."""

import json
import subprocess
import sys
import textwrap

SCRIPT = """
import logging
from kit import logging as ours

ours.configure("shop")
log = ours.get("shop")
nested = {"password": "MARK-password", "shown": ["to ann@example.test"]}
log.info("shop.order_taken", order_id=7, email="ann@example.test", refresh_token="MARK-token", nested=nested)
log.info("shop.header_seen", header="Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.MARK")
logging.getLogger("foreign").error("mail to bob@example.test with fg_live_MARK and sk-ant-MARK12345 failed")
try:
    raise ValueError("Key (email)=(eve@example.test) already exists")
except ValueError:
    log.exception("shop.order_failed")
    logging.getLogger("foreign").exception("it broke")
"""


def test_secrets_and_addresses_are_struck_out_of_fields_texts_and_traces() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], capture_output=True, text=True, timeout=30, check=True
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(lines) == 5
    assert lines[0]["order_id"] == 7
    assert lines[0]["service"] == "shop"
    assert lines[0]["email"] == "[struck out]"
    assert "ValueError" in lines[3]["exception"]
    assert "ValueError" in lines[4]["exception"]
    for secret in ("MARK", "ann@", "bob@", "eve@", "example.test"):
        assert secret not in done.stderr
