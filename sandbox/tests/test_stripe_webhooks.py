"""Events on their way: signed, repeated until taken, in no order, and not lost when the process dies."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import httpx2
import pytest
import stripe

from sandbox.fixtures_stripe import SECRET_KEY, WEBHOOK_SECRET, running_stripe_server
from sandbox.stripe.receiver import running_receiver

pytest_plugins = ["sandbox.fixtures_stripe"]


def new_customer(base_url, name="x"):
    answer = httpx2.post(f"{base_url}/v1/customers", data={"name": name}, auth=(SECRET_KEY, ""))
    answer.raise_for_status()
    return answer.json()["id"]


def has(count):
    return lambda received: len(received) >= count


def test_an_event_is_signed_as_the_sdk_expects(stripe_server, webhook_receiver):
    customer = new_customer(stripe_server.base_url)

    (received,) = webhook_receiver.wait_for_types("customer.created")

    event = stripe.Webhook.construct_event(received.body, received.signature, WEBHOOK_SECRET)
    assert (event.type, event.data.object.id, event.api_version) == (
        "customer.created",
        customer,
        stripe.api_version,
    )
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(received.body, received.signature, "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(received.body + b" ", received.signature, WEBHOOK_SECRET)


@pytest.mark.parametrize("refusal", [500, 404, 302])
def test_a_refused_event_is_sent_again_until_taken(stripe_server, webhook_receiver, refusal):
    webhook_receiver.answers.extend([refusal, refusal])
    new_customer(stripe_server.base_url)

    received = webhook_receiver.wait_for(what=has(3))

    assert [one.answered for one in received] == [refusal, refusal, 200]
    assert len({one.event["id"] for one in received}) == 1
    assert eventually(lambda: [one["state"] for one in stripe_server.deliveries()] == ["delivered"])
    assert stripe_server.deliveries()[0]["tries"] == 3
    time.sleep(0.3)
    assert len(webhook_receiver.received) == 3


def test_an_event_that_nobody_takes_is_given_up_and_can_be_listed():
    with running_stripe_server(retry_delays_s=(0.01, 0.01)) as server, running_receiver() as receiver:
        server.set_webhook_url(receiver.url)
        new_customer(server.base_url)
        (taken,) = receiver.wait_for(what=has(1))
        assert eventually(lambda: server.deliveries()[0]["state"] == "delivered")
        receiver.answers.extend([500] * 3)
        new_customer(server.base_url)
        assert eventually(lambda: server.deliveries()[0]["state"] == "failed")

        events = f"{server.base_url}/v1/events?delivery_success="
        missed = httpx2.get(f"{events}false", auth=(SECRET_KEY, "")).json()["data"]
        arrived = httpx2.get(f"{events}true", auth=(SECRET_KEY, "")).json()["data"]
        server.control(f"/sandbox/events/{missed[0]['id']}/redeliver")
        receiver.wait_for(what=has(5))

        assert [one["id"] for one in arrived] == [taken.event["id"]]
        assert eventually(lambda: httpx2.get(f"{events}false", auth=(SECRET_KEY, "")).json()["data"] == [])
        assert stripe_events_of(missed) == ["customer.created"]


def test_an_address_where_nobody_listens_is_tried_again(stripe_server):
    stripe_server.set_webhook_url("http://127.0.0.1:9/nobody")
    new_customer(stripe_server.base_url)

    assert eventually(lambda: stripe_server.deliveries()[0]["tries"] >= 2)
    assert stripe_server.deliveries()[0]["problem"] == "ConnectError"


def test_without_an_address_events_are_kept_and_not_sent(stripe_server):
    new_customer(stripe_server.base_url)

    assert stripe_server.deliveries() == []
    events = httpx2.get(f"{stripe_server.base_url}/v1/events", auth=(SECRET_KEY, "")).json()["data"]
    assert stripe_events_of(events) == ["customer.created"]


def test_paused_deliveries_wait(stripe_server, webhook_receiver):
    stripe_server.control("/sandbox/webhooks", {"paused": True})
    new_customer(stripe_server.base_url)
    time.sleep(0.3)
    waiting = httpx2.get(f"{stripe_server.base_url}/v1/events", auth=(SECRET_KEY, "")).json()["data"][0]
    assert (webhook_receiver.received, waiting["pending_webhooks"]) == ([], 1)

    stripe_server.control("/sandbox/webhooks", {"paused": False})

    webhook_receiver.wait_for_types("customer.created")


def test_duplicates_come_as_often_as_told(stripe_server, webhook_receiver):
    stripe_server.control("/sandbox/webhooks", {"duplicate": 2})
    new_customer(stripe_server.base_url)

    received = webhook_receiver.wait_for(what=has(3))

    assert len({one.event["id"] for one in received}) == 1


def test_shuffled_events_come_in_another_order(stripe_server, webhook_receiver):
    stripe_server.control("/sandbox/webhooks", {"shuffle": True})
    customers = [new_customer(stripe_server.base_url, name=str(number)) for number in range(20)]

    received = webhook_receiver.wait_for(what=has(20))

    arrived = [one.event["data"]["object"]["id"] for one in received]
    assert arrived != customers
    assert sorted(arrived) == sorted(customers)


def test_many_duplicates_all_arrive(stripe_server, webhook_receiver):
    stripe_server.control("/sandbox/webhooks", {"duplicate": 20, "shuffle": True})
    for number in range(10):
        new_customer(stripe_server.base_url, name=str(number))

    received = webhook_receiver.wait_for(what=has(210))

    assert len({one.event["id"] for one in received}) == 10


def test_what_was_pending_is_delivered_after_a_restart(tmp_path):
    with running_stripe_server(state_folder=tmp_path) as server:
        server.control("/sandbox/webhooks", {"url": "http://127.0.0.1:9/", "paused": True})
        customer = new_customer(server.base_url)

    with running_stripe_server(state_folder=tmp_path) as server, running_receiver() as receiver:
        server.control("/sandbox/webhooks", {"url": receiver.url, "paused": False})
        received = receiver.wait_for_types("customer.created")
        found = httpx2.get(f"{server.base_url}/v1/customers/{customer}", auth=(SECRET_KEY, "")).json()

    assert received[0].event["data"]["object"] == found


@contextlib.contextmanager
def own_process(folder, *, webhook_url=""):
    environment = {
        **os.environ,
        "FAREGATE_SANDBOX_STRIPE_SECRET_KEY": SECRET_KEY,
        "FAREGATE_SANDBOX_STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "FAREGATE_SANDBOX_STRIPE_WEBHOOK_URL": webhook_url,
    }
    command = [sys.executable, "-m", "sandbox.stripe", "--port", "0", "--state", str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()


def test_a_killed_process_loses_nothing(tmp_path):
    with running_receiver() as receiver:
        with own_process(tmp_path, webhook_url="http://127.0.0.1:9/") as (process, base_url):
            customers = [new_customer(base_url, name=str(number)) for number in range(10)]
            process.send_signal(signal.SIGKILL)
            process.wait()
        with own_process(tmp_path, webhook_url=receiver.url) as (_, base_url):
            received = receiver.wait_for(what=has(10), timeout_s=20)
            listed = httpx2.get(f"{base_url}/v1/customers?limit=100", auth=(SECRET_KEY, "")).json()["data"]

    assert sorted(one.event["data"]["object"]["id"] for one in received) == sorted(customers)
    assert [one["id"] for one in listed] == customers[::-1]


def test_an_idempotency_key_outlives_a_restart(tmp_path):
    def create(server):
        headers = {"Idempotency-Key": "k"}
        return httpx2.post(
            f"{server.base_url}/v1/customers", data={"name": "x"}, auth=(SECRET_KEY, ""), headers=headers
        ).json()["id"]

    with running_stripe_server(state_folder=tmp_path) as server:
        first = create(server)
    with running_stripe_server(state_folder=tmp_path) as server:
        assert create(server) == first


@pytest.mark.parametrize(
    ("missing", "value"),
    [
        ("FAREGATE_SANDBOX_STRIPE_SECRET_KEY", ""),
        ("FAREGATE_SANDBOX_STRIPE_SECRET_KEY", "sk_live_abc"),
        ("FAREGATE_SANDBOX_STRIPE_WEBHOOK_SECRET", "secret"),
    ],
)
def test_it_refuses_to_start_without_its_secrets_and_names_them(missing, value):
    environment = {
        **os.environ,
        "FAREGATE_SANDBOX_STRIPE_SECRET_KEY": SECRET_KEY,
        "FAREGATE_SANDBOX_STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        missing: value,
    }

    ended = subprocess.run(
        [sys.executable, "-m", "sandbox.stripe", "--port", "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode != 0
    assert missing in ended.stderr
    assert "Traceback" not in ended.stderr


def eventually(holds, timeout_s=5):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


def stripe_events_of(events):
    return [event["type"] for event in events]
