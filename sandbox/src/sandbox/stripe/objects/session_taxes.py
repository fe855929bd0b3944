"""What Stripe asks of a checkout that is to compute taxes, or to ask for a tax id."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.objects.tax_rates import check_active, country_of
from sandbox.stripe.routing import Params
from sandbox.stripe.work import Work


def check_taxes(work: Work, params: Params) -> None:
    is_taxed = params.get("automatic_tax", {}).get("enabled", False)
    asks_for_id = params.get("tax_id_collection", {}).get("enabled", False)
    if params["mode"] == "setup" and (is_taxed or asks_for_id):
        name = "automatic_tax" if is_taxed else "tax_id_collection"
        raise StripeError(f"You can not pass `{name}` in `setup` mode.", param=name)
    if is_taxed:
        check_active(work)
    updates = params.get("customer_update", {})
    if "customer_update" in params and "customer" not in params:
        raise StripeError("`customer_update` can only be passed together with `customer`.", param="customer_update")
    if "customer" not in params:
        return
    if is_taxed and updates.get("address") != "auto":
        customer = work.get("customer", params["customer"])
        if country_of(customer) is None:
            message = (
                "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address "
                "to the Customer or set `customer_update[address]` to 'auto'."
            )
            raise StripeError(message, code="customer_tax_location_invalid", param="automatic_tax")
    if asks_for_id and updates.get("name") != "auto":
        message = "Tax ID collection for an existing customer requires `customer_update[name]` to be 'auto'."
        raise StripeError(message, param="tax_id_collection")
