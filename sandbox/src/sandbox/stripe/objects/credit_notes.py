"""Credit notes: an invoice made smaller after it was finalised."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.invoices import payment_of
from sandbox.stripe.objects.metadata import fresh
from sandbox.stripe.objects.refunds import create_refund
from sandbox.stripe.parameters import Choice, Integer, Kind, Metadata, Text, not_done
from sandbox.stripe.routing import Params, create, listing, retrieve
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work, new_id

PATH = "/v1/credit_notes"
REASONS = Choice("duplicate", "fraudulent", "order_change", "product_unsatisfactory")
CREATABLE: dict[str, Kind] = {
    "amount": Integer(minimum=1),
    "credit_amount": Integer(),
    "invoice": Text(),
    "memo": Text(),
    "metadata": Metadata(),
    "out_of_band_amount": Integer(),
    "reason": REASONS,
    "refund_amount": Integer(),
    **not_done("effective_at email_type lines refunds shipping_cost"),
}


def create_note(work: Work, ident: str, params: Params) -> Json:
    invoice = work.referenced("invoice", params["invoice"], param="invoice")
    if "amount" not in params:
        raise StripeError("Missing required param: amount.", code="parameter_missing", param="amount")
    if invoice["status"] not in {"open", "paid", "uncollectible"}:
        raise StripeError(f"Credit notes can't be made for an invoice that is {invoice['status']}.", param="invoice")
    amount = params["amount"]
    before_payment = min(amount, invoice["amount_remaining"])
    after_payment = amount - before_payment
    _check_whole(invoice, params, amount=amount, after_payment=after_payment)
    note = _note(work, invoice, params, before_payment=before_payment, after_payment=after_payment)
    _carry_out(work, invoice, note, params, before_payment=before_payment, after_payment=after_payment)
    work.emit("credit_note.created", note)
    return note


def _check_whole(invoice: Json, params: Params, *, amount: int, after_payment: int) -> None:
    noted = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    if amount + noted > invoice["total"]:
        message = f"The credit notes of an invoice cannot be more than its total ({invoice['total']})."
        raise StripeError(message, param="amount")
    parts = sum(params.get(name, 0) for name in ("credit_amount", "refund_amount", "out_of_band_amount"))
    if parts != after_payment:
        message = f"The sum of credit_amount, refund_amount and out_of_band_amount ({parts}) must be {after_payment}."
        raise StripeError(message, param="amount")


def _carry_out(
    work: Work, invoice: Json, note: Json, params: Params, *, before_payment: int, after_payment: int
) -> None:
    if params.get("refund_amount"):
        _, intent = payment_of(work, invoice)
        refund = create_refund(work, "", {"payment_intent": intent["id"], "amount": params["refund_amount"]})
        told = {
            "amount_refunded": refund["amount"],
            "payment_record_refund": None,
            "refund": refund["id"],
            "type": "refund",
        }
        work.change(note, None, refunds=[told])
    if params.get("credit_amount"):
        customer = work.get("customer", invoice["customer"])
        work.change(customer, "customer.updated", balance=customer["balance"] - params["credit_amount"])
    remaining = invoice["amount_remaining"] - before_payment
    changes: Json = {
        "amount_remaining": remaining,
        "post_payment_credit_notes_amount": invoice["post_payment_credit_notes_amount"] + after_payment,
        "pre_payment_credit_notes_amount": invoice["pre_payment_credit_notes_amount"] + before_payment,
    }
    if before_payment:
        changes["amount_due"] = invoice["amount_due"] - before_payment
        _, intent = payment_of(work, invoice)
        work.change(intent, None, amount=remaining) if remaining else work.change(intent, None, status="canceled")
    if remaining == 0 and invoice["status"] == "open":
        changes |= {"status": "paid", "next_payment_attempt": None}
    work.change(invoice, "invoice.updated", **changes)


def _note(work: Work, invoice: Json, params: Params, *, before_payment: int, after_payment: int) -> Json:
    ident = new_id("cn")
    amount = before_payment + after_payment
    kind = "mixed" if before_payment and after_payment else "pre_payment" if before_payment else "post_payment"
    count = len(work.list_all("credit_note", invoice=invoice["id"])) + 1
    return work.insert(
        {
            "id": ident,
            "object": "credit_note",
            "amount": amount,
            "amount_shipping": 0,
            "created": work.now,
            "currency": invoice["currency"],
            "customer": invoice["customer"],
            "customer_account": None,
            "customer_balance_transaction": None,
            "discount_amount": 0,
            "discount_amounts": [],
            "effective_at": work.now,
            "invoice": invoice["id"],
            "lines": {"object": "list", "data": [_line(amount)], "has_more": False, "url": f"{PATH}/{ident}/lines"},
            "livemode": False,
            "memo": params.get("memo"),
            "metadata": fresh(params.get("metadata")),
            "number": f"{invoice['number']}-CN-{count:02d}",
            "out_of_band_amount": params.get("out_of_band_amount") or None,
            "pdf": f"{work.base_url}/credit_note/{ident}/pdf",
            "post_payment_amount": after_payment,
            "pre_payment_amount": before_payment,
            "pretax_credit_amounts": [],
            "reason": params.get("reason"),
            "refunds": [],
            "shipping_cost": None,
            "status": "issued",
            "subtotal": amount,
            "subtotal_excluding_tax": amount,
            "total": amount,
            "total_excluding_tax": amount,
            "total_taxes": [],
            "type": kind,
            "voided_at": None,
        }
    )


def _line(amount: int) -> Json:
    return {
        "id": new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": 1,
        "tax_rates": [],
        "taxes": [],
        "type": "custom_line_item",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


def void_note(work: Work, ident: str, params: Params) -> Json:
    note = work.get("credit_note", ident)
    invoice = work.get("invoice", note["invoice"])
    if note["status"] == "void" or note["type"] != "pre_payment" or invoice["status"] != "open":
        raise StripeError("Only an issued credit note of an open invoice can be voided.")
    work.change(
        invoice,
        "invoice.updated",
        amount_due=invoice["amount_due"] + note["amount"],
        amount_remaining=invoice["amount_remaining"] + note["amount"],
        pre_payment_credit_notes_amount=invoice["pre_payment_credit_notes_amount"] - note["amount"],
    )
    _, intent = payment_of(work, invoice)
    work.change(intent, None, amount=invoice["amount_remaining"])
    work.change(note, None, status="void", voided_at=work.now)
    work.emit("credit_note.voided", note)
    return note


ROUTES = (
    create(PATH, create_note, CREATABLE, required=("invoice",)),
    listing(PATH, "credit_note", {"customer": Text(), "invoice": Text(), **not_done("customer_account")}),
    create(f"{PATH}/{{id}}/void", void_note, {}),
    retrieve(PATH, "credit_note"),
)
