"""An answer of our own to a call that gets none from a provider."""

from gateway import metrics
from gateway.dataplane.exchange import refusal_headers
from gateway.dataplane.order import Order
from gateway.errors import ModelApiError
from gateway.surfaces.amount_text import credits_text
from gateway.surfaces.refusals import domain_refusal
from kit.errors import DomainError


def refuse(order: Order, error: ModelApiError | DomainError) -> None:
    """In the words of the surface that was asked."""
    refusal = error if isinstance(error, ModelApiError) else domain_refusal(error)
    metrics.CALLS_REFUSED.labels(refusal.error_type).inc()
    exchange = order.exchange
    if exchange.started:
        return
    headers = refusal_headers(refusal, exchange.request_id)
    if order.is_estimated:
        headers.append((b"faregate-estimated-cost", credits_text(order.amounts.credit_nano).encode()))
    exchange.answer(refusal.status, headers, order.surface.error_body(refusal, exchange.request_id))
