"""Prompts, completions, tokens, keys and e-mail addresses reach no log, event or metric."""

from uuid import uuid4

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer
from tests.e2e.conftest import Product
from tests.e2e.test_the_story import MODEL

from contracts.topics import TOPICS
from sandbox.demo.customer import Customer, until

pytestmark = pytest.mark.stack

SERVICES = ("auth", "ledger", "billing", "notifier", "gateway")


async def _marked_story(product: Product) -> dict[str, str]:
    """A customer whose every secret is a marker; what to look for, by kind."""
    marker = uuid4().hex
    customer = Customer(product.url, product.mailbox_url, email=f"leak-{marker}@example.com")
    await customer.sign_up()

    async def granted() -> bool:
        return await customer.balance() == 5

    await until("the trial's credits", granted)
    prompt = f"prompt-{marker}"
    answer = await customer.sdk().messages.create(
        model=MODEL, max_tokens=60, system=prompt, messages=[{"role": "user", "content": prompt}]
    )
    await customer.http.post(
        "/v1/messages", headers={"x-api-key": customer.api_key}, content=b'{"model": "' + prompt.encode()
    )
    await customer.http.get("/ledger/balance", headers={"authorization": f"Bearer {customer.token}x"})
    await customer.http.post("/auth/login", json={"email": customer.email, "password": f"wrong-{marker}"})
    await customer.http.post("/auth/register", json={"email": customer.email, "password": 5, "extra": prompt})
    await customer.press_pay(await customer.buy("credits_10"))
    await until("the payment's mail", customer.mails)
    completion = next(block.text for block in answer.content if block.type == "text")
    return {
        "prompt": prompt,
        "completion": completion[:40],
        "token": customer.token,
        "key": customer.api_key,
        "address": customer.email,
        "password": customer.password,
        "marker": marker,
    }


async def _everything_in_kafka(product: Product) -> str:
    consumer = AIOKafkaConsumer(
        *(topic.name for topic in TOPICS),
        bootstrap_servers=product.stack.kafka_bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        group_id=f"leaks-{uuid4().hex}",
    )
    found = []
    async with consumer:
        while batches := await consumer.getmany(timeout_ms=3000):
            found += [record for records in batches.values() for record in records]
    assert len(found) > 20
    return b"".join((record.key or b"") + (record.value or b"") for record in found).decode(errors="replace")


async def _metrics(product: Product) -> str:
    async with httpx2.AsyncClient(trust_env=False) as http:
        pages = [await http.get(f"{product.addresses.url(name)}/metrics") for name in SERVICES]
    assert all(page.status_code == 200 for page in pages)
    return "".join(page.text for page in pages)


async def test_markers_are_found_in_no_log_event_or_metric(product: Product) -> None:
    markers = await _marked_story(product)
    places = {
        "logs": product.all_logs(),
        "events": await _everything_in_kafka(product),
        "metrics": await _metrics(product),
    }

    leaks = [
        f"{kind} in {place}" for place, text in places.items() for kind, marker in markers.items() if marker in text
    ]

    assert leaks == []
    assert places["logs"]
