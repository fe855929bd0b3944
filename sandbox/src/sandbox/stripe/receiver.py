"""An address for webhooks that keeps what it was sent and answers as it is told."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from sandbox.stripe.settings import HOST


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery, byte for byte."""

    body: bytes
    signature: str
    answered: int

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = orjson.loads(self.body)
        return event


class WebhookReceiver:
    """Answers 200 unless `answers` holds other statuses, which are given out in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: deque[int] = deque()
        self.received: list[Received] = []
        self._changed = threading.Condition()

    def accept(self, body: bytes, signature: str) -> int:
        with self._changed:
            status = self.answers.popleft() if self.answers else 200
            self.received.append(Received(body, signature, status))
            self._changed.notify_all()
        return status

    def types(self) -> list[str]:
        return [received.event["type"] for received in list(self.received)]

    def wait_for(self, *, what: Callable[[list[Received]], bool], timeout_s: float = 10) -> list[Received]:
        """Block until enough has arrived; what did arrive is named when it does not."""
        with self._changed:
            if not self._changed.wait_for(lambda: what(self.received), timeout_s):
                raise TimeoutError(f"not delivered within {timeout_s} s; arrived: {self.types()}")
            return list(self.received)

    def wait_for_types(self, *types: str, timeout_s: float = 10) -> list[Received]:
        return self.wait_for(
            what=lambda received: set(types) <= {one.event["type"] for one in received}, timeout_s=timeout_s
        )


@contextmanager
def running_receiver() -> Iterator[WebhookReceiver]:
    server = ThreadingHTTPServer((HOST, 0), BaseHTTPRequestHandler)
    receiver = WebhookReceiver(f"http://{HOST}:{server.server_port}/webhooks")
    server.RequestHandlerClass = _handler(receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status = receiver.accept(body, self.headers.get("Stripe-Signature", ""))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Say nothing: what arrived is in `received`."""

    return Handler
