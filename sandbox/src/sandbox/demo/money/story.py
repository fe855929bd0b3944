"""The story of money, told by doing it: months of one customer, and after each step what every party says of it."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from sandbox.demo.customer import StoryError, until
from sandbox.demo.money.auditing import check_books
from sandbox.demo.money.buyer import OUTPUT_WEIGHT, Buyer, money
from sandbox.demo.money.reading import Reader
from sandbox.demo.money.said import Said
from sandbox.demo.money.stripe_desk import StripeDesk
from sandbox.demo.money.table import COLUMNS, LAST_COLUMNS, Row, four_rows
from sandbox.demo.screen import Screen
from sandbox.faregate import MovedFaregate

PATIENCE_S: Final = 60.0
FREE_TOKENS: Final = 100_000
PRO_TOKENS: Final = 2_000_000
LARGE: Final = 40_000
SMALL: Final = 64
AFTER_AN_HOUR: Final = timedelta(hours=1, minutes=6)
"""The ledger states an hour of overage five minutes after its end."""
DRAFT: Final = timedelta(minutes=10)
GRACE: Final = timedelta(hours=1)
"""Stripe keeps a renewal's invoice a draft for so long."""


class MoneyStory:
    """One customer's months; a step raises `StoryError` when it, or the books after it, are not as they must be."""

    def __init__(self, product: MovedFaregate, screen: Screen, *, patience_s: float = PATIENCE_S) -> None:
        self.product = product
        self.patience_s = patience_s
        self.screen = screen
        self.buyer = Buyer(product.url, product.mailbox_url)
        self.stripe = StripeDesk(product.addresses.url("stripe"), secret_key=product.credentials.stripe_secret_key)
        self.reader = Reader(product, self.buyer, self.stripe)
        self.began = product.now()
        self.rows: list[Row] = []

    async def tell(self) -> list[Row]:
        """From the sign-up to the end of the subscription; a row for each step."""
        steps: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("sign up free", self.sign_up),
            ("hit the wall", self.hit_the_wall),
            ("subscribe", self.subscribe),
            ("overage", self.use_more),
            ("invoice", self.invoice),
            ("card declined", self.decline),
            ("dunning", self.dun),
            ("recovery", self.recover),
            ("upgrade", self.upgrade),
            ("bundle", self.buy_bundles),
            ("refund", self.refund),
            ("dispute lost", self.lose_dispute),
            ("cancel", self.cancel),
        )
        try:
            for name, step in steps:
                await self.take(name, step)
        finally:
            await self.stripe.close()
            await self.buyer.http.aclose()
        self.screen.table(f"{len(self.rows)} steps", LAST_COLUMNS, [row.cells() for row in self.rows])
        await check_books(self.product, self.screen, since=self.began)
        return self.rows

    async def take(self, name: str, step: Callable[[], Awaitable[object]]) -> None:
        """Do one step and see that all agree after it."""
        self.screen.step(f"{name[0].upper()}{name[1:]}")
        try:
            await step()
            said = await self.agreed()
        except StoryError as error:
            raise StoryError(f"at the step “{name}”: {error}") from error
        self.screen.table(f"{said.at:%d %B %Y %H:%M}, what each says", COLUMNS, four_rows(said))
        self.screen.good("ledger, billing, Stripe and gateway agree")
        self.rows.append(Row(name, (said.at - self.began).days, said))

    async def agreed(self) -> Said:
        """What all say once they say the same; raises with what differs."""
        last: Said | None = None

        async def agree() -> bool:
            nonlocal last
            last = await self.reader.read()
            return not last.differences() and not last.gateway.is_busy

        try:
            with self.screen.waiting("waiting until all agree"):
                await until("all say the same", agree, timeout_s=self.patience_s)
        except StoryError as error:
            if last is None:
                raise
            self.screen.table("What each says", COLUMNS, four_rows(last))
            raise StoryError("; ".join(last.differences()) or "calls are under way") from error
        assert last is not None
        return last

    async def pass_time(self, span: timedelta) -> None:
        """The clock of all is moved; the customer logs in again."""
        await self.agreed()
        self.product.pass_time(span)
        self.screen.fact(f"the clock moves on to {self.product.now():%d %B %Y %H:%M}")
        await self.buyer.log_in_again()

    async def reach(self, instant: datetime) -> None:
        await self.pass_time(instant - self.product.now())

    async def sign_up(self) -> None:
        await self.buyer.sign_up()
        await self.wait("the free plan's tokens", partial(self._has_tokens, FREE_TOKENS))
        self.reader.account_id = (await self.buyer.get("/ledger/balance"))["account_id"]
        self.screen.good(f"plan Free: {FREE_TOKENS:,} tokens a month, nothing to pay")

    async def hit_the_wall(self) -> None:
        while (left := await self.buyer.tokens_left()) > OUTPUT_WEIGHT * SMALL:
            await self.buyer.ask(max(SMALL, min(4_000, left // OUTPUT_WEIGHT - SMALL)))
            await self.wait("the call in the books", partial(self._has_less, left))
        self.screen.good(f"402 billing_error: {await self.buyer.refused(SMALL)}")
        await self._mailed("used up")

    async def subscribe(self) -> None:
        await self.buyer.press_pay(await self.buyer.buy("pro"))
        await self.wait("the plan's tokens", partial(self._has_tokens, PRO_TOKENS))
        self.screen.good(f"the pay page's button, a signed webhook, and {PRO_TOKENS:,} tokens for a month")

    async def use_more(self) -> None:
        await self.buyer.allow_overage("20")
        self.screen.fact("the customer allows $20 beyond the plan, at $0.02 for 1,000 tokens")
        with self.screen.waiting(f"a dozen answers of {LARGE:,} tokens"):
            await self.buyer.ask_many(LARGE, calls=12)
        await self.pass_time(AFTER_AN_HOUR)
        await self.wait("the hour of overage at Stripe's meter", self._is_reported)
        said = await self.reader.read()
        self.screen.good(f"${Decimal(said.ledger.overage_nano) / 10**9} of overage went to Stripe's meter, once")

    async def invoice(self) -> None:
        await self._end_period()
        await self.wait("the next month's tokens", partial(self._has_tokens, PRO_TOKENS))
        newest = (await self.buyer.invoices())[0]
        lines = ", ".join(f"{line['description']}: ${line['amount']}" for line in newest["lines"])
        self.screen.good(f"invoice {newest['number']} is {newest['status']}: {lines}")

    async def decline(self) -> None:
        await self.stripe.drain_card((await self.buyer.card_on_file())["id"])
        self.screen.fact("there is too little money behind the card from now on")
        await self._end_period()
        await self.wait("the subscription past due", partial(self._is, "past_due"))
        await self.wait("the gateway to hear that nothing more is billed later", self._is_without_overage)
        self.screen.good(f"the plan holds for its grace, without new tokens: {await self.buyer.refused(SMALL)}")
        await self._mailed("payment", "failed")

    async def dun(self) -> None:
        failures = len(await self.buyer.mails_about("payment", "failed"))
        await self.pass_time(timedelta(days=3))

        async def tried_again() -> bool:
            return len(await self.buyer.mails_about("payment", "failed")) > failures

        await self.wait("Stripe's second try, and its mail", tried_again)
        await self.pass_time(timedelta(days=2, hours=1))
        await self.wait("the end of the grace", partial(self._plan_is, "free"))
        self.screen.good("five days of grace are over: the account is on the plan Free")

    async def recover(self) -> None:
        await self.buyer.bring_another_card()
        self.screen.fact("the customer brings another card over Stripe's page")
        await self.pass_time(timedelta(days=1))
        await self.wait("the subscription active", partial(self._is, "active"))
        await self.wait("the month's tokens", partial(self._has_tokens, PRO_TOKENS))
        self.screen.good(f"Stripe's third try was paid: Pro again, {await self.buyer.tokens_left():,} tokens")

    async def upgrade(self) -> None:
        preview = await self.buyer.preview("enterprise")
        self.screen.fact(
            f"the preview: ${preview['due']} now, {int(preview['allowance_given']):,} tokens for the rest of the month"
        )
        before = await self.reader.read()
        await self.buyer.change_plan("enterprise", previewed_at=preview["at"])
        await self.wait("the new plan", partial(self._plan_is, "enterprise"))
        after = await self.agreed()
        taken = sum(after.stripe.paid.values()) - sum(before.stripe.paid.values())
        if taken != int(Decimal(preview["due"]) * 100):
            raise StoryError(f"the preview said ${preview['due']}, Stripe took {money(taken)}")
        self.screen.good(f"Stripe took exactly {money(taken)}; the rest of the old plan was taken back")

    async def buy_bundles(self) -> None:
        for _ in range(2):
            await self.buyer.press_pay(await self.buyer.buy("credits_25"))
        await self.wait("50 credits", partial(self._has_credits, Decimal(50)))
        self.screen.good("two bundles of 25 credits")

    async def refund(self) -> None:
        charge = await self._bundle_charge(0)
        await self.stripe.refund(charge, amount_minor=1_000)
        await self.wait("10 credits less", partial(self._has_credits, Decimal(40)))
        self.screen.good("$10.00 of the first bundle went back, and 10 of its credits with them")

    async def lose_dispute(self) -> None:
        dispute = await self.stripe.dispute(await self._bundle_charge(1))
        await self.wait("the disputed credits held", partial(self._has_credits, Decimal(15)))
        await self.agreed()
        self.screen.fact("the card's owner disputes the second bundle: its 25 credits are held")
        await self.stripe.decide(dispute, "lost")
        await self.wait("the bank's decision in the books", self.reader.is_lost)
        self.screen.good("the bank decides against us: the credits stay away, the money is gone")

    async def cancel(self) -> None:
        await self.buyer.cancel()
        ends_at = datetime.fromisoformat((await self.buyer.subscription())["current_period_end"])
        self.screen.fact(f"cancelled; what is paid stays until {ends_at:%d %B %Y}")
        await self.agreed()
        await self.reach(ends_at + DRAFT)
        await self.wait("the end of the subscription", partial(self._is, "canceled"))
        await self.wait("the free plan", partial(self._plan_is, "free"))
        await self.buyer.ask(SMALL)
        self.screen.good("the subscription is over; calls go on with the plan Free and the bundle's credits")

    async def wait(self, what: str, true: Callable[[], Awaitable[bool]]) -> None:
        with self.screen.waiting(f"waiting for {what}"):
            await until(what, true, timeout_s=self.patience_s)

    async def _end_period(self) -> None:
        """To the end of the month that is paid: the next invoice is a draft, an hour later it is collected."""
        ends_at = datetime.fromisoformat((await self.buyer.subscription())["current_period_end"])
        await self.reach(ends_at + DRAFT)
        await self.wait("the month's meter, held against billing's rows", partial(self.reader.is_compared, ends_at))
        await self.pass_time(GRACE)

    async def _mailed(self, *words: str) -> None:
        async def arrived() -> bool:
            return await self.buyer.mails_about(*words) != []

        await self.wait(f"a mail about {' '.join(words)}", arrived)
        self.screen.fact(f"mail: {(await self.buyer.mails_about(*words))[0]}")

    async def _has_tokens(self, amount: int) -> bool:
        try:
            return await self.buyer.tokens_left() >= amount
        except StoryError:
            # A new account is known to the ledger a moment after its sign-up.
            return False

    async def _has_less(self, amount: int) -> bool:
        return await self.buyer.tokens_left() < amount

    async def _has_credits(self, amount: Decimal) -> bool:
        return await self.buyer.balance() == amount

    async def _is(self, status: str) -> bool:
        return bool((await self.buyer.subscription())["status"] == status)

    async def _is_without_overage(self) -> bool:
        amounts = (await self.buyer.get("/v1/limits"))["amounts"]
        return not any(Decimal(one["available"]) for one in amounts if one["unit"] == "overage")

    async def _plan_is(self, plan: str) -> bool:
        return bool((await self.buyer.get("/ledger/balance"))["plan"] == plan)

    async def _is_reported(self) -> bool:
        said = await self.reader.read()
        return bool(said.ledger.overage_nano) and not said.ledger.unannounced_nano and not said.differences()

    async def _bundle_charge(self, number: int) -> dict[str, object]:
        customer = await self.stripe.customer_of(self.reader.account_id)
        assert customer is not None
        bundles = [one for one in await self.stripe.charges(customer) if one["amount"] == 2_500]
        return bundles[-1 - number]
