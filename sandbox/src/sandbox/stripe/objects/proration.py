"""What a change in the middle of a period gives back and asks for, by the second."""

from sandbox.stripe.objects.amounts import amount_of, part_of
from sandbox.stripe.objects.invoice_items import new_invoice_item
from sandbox.stripe.objects.subscription_items import is_metered
from sandbox.stripe.store import Json
from sandbox.stripe.work import Work


def prorations(work: Work, before: list[Json], after: list[Json], *, since: int) -> list[Json]:
    """The amounts of a change: what is unused of the old items, then what remains to be used of the new ones."""
    now = {item["id"]: item for item in after}
    then = {item["id"]: item for item in before}
    gone = [item for item in before if _differs(item, now.get(item["id"]))]
    come = [item for item in after if _differs(item, then.get(item["id"]))]
    return [
        *(_part(work, item, since=since, sign=-1) for item in gone if not is_metered(item["price"])),
        *(_part(work, item, since=since, sign=1) for item in come if not is_metered(item["price"])),
    ]


def _differs(item: Json, other: Json | None) -> bool:
    if other is None:
        return True
    return (item["price"]["id"], item.get("quantity")) != (other["price"]["id"], other.get("quantity"))


def _part(work: Work, item: Json, *, since: int, sign: int) -> Json:
    start, end = item["current_period_start"], item["current_period_end"]
    whole = amount_of(item["price"], item["quantity"])
    product = work.get("product", item["price"]["product"])["name"]
    word = "Unused time on" if sign < 0 else "Remaining time on"
    return {
        "amount": sign * part_of(whole, start=start, end=end, since=since),
        "description": f"{word} {item['quantity']} \N{MULTIPLICATION SIGN} {product}",
        "item": item,
        "period": {"start": max(since, start), "end": end},
    }


def keep_prorations(work: Work, subscription: Json, parts: list[Json]) -> list[Json]:
    """As pending invoice items, for the next invoice."""
    return [
        new_invoice_item(
            work,
            customer_id=subscription["customer"],
            amount_minor=part["amount"],
            currency=subscription["currency"],
            description=part["description"],
            period=part["period"],
            subscription_id=subscription["id"],
            proration_of=part["item"],
        )
        for part in parts
    ]
