"""What the ledger hears."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.auth import (
    AccountActivated,
    AccountChanged,
    AccountCreated,
    ApiKeyChanged,
    MemberChanged,
    ProjectChanged,
)
from contracts.billing import (
    AccountSettingsChanged,
    PaymentReversed,
    PaymentSettled,
    PlanPublished,
    SubscriptionChanged,
)
from contracts.gateway import CallsCounted, UsageRecorded
from kit.consumer import Batch, Consumer
from ledger.adapters.usage_events import decode_usage
from ledger.service import catalogue, reconciling
from ledger.service.accounts import Accounts
from ledger.service.booking import GROUP, Booking
from ledger.service.budgeting import Budgeting
from ledger.service.granting import Granting
from ledger.service.reversing import Reversing


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the consumer calls."""

    accounts: Accounts
    granting: Granting
    reversing: Reversing
    booking: Booking
    budgeting: Budgeting


def build_consumer(use: UseCases) -> Consumer:
    """The consumer group `ledger`; usage comes in batches and is deduped by its charge rows."""
    consumer = Consumer(group=GROUP)
    _hear_auth(consumer, use)
    _hear_billing(consumer, use)

    @consumer.on(CallsCounted)
    async def on_calls_counted(session: AsyncSession, event: CallsCounted) -> None:
        await reconciling.count_calls(session, event)

    @consumer.on_batch(UsageRecorded, decode=decode_usage)
    async def on_usage_recorded(session: AsyncSession, batch: Batch) -> None:
        await use.booking.book_usage(session, batch)

    return consumer


def _hear_auth(consumer: Consumer, use: UseCases) -> None:
    @consumer.on(AccountCreated)
    async def on_account_created(session: AsyncSession, event: AccountCreated) -> None:
        await use.accounts.create(session, event)

    @consumer.on(AccountActivated)
    async def on_account_activated(session: AsyncSession, event: AccountActivated) -> None:
        await use.accounts.activate(session, event)

    @consumer.on(AccountChanged)
    async def on_account_changed(session: AsyncSession, event: AccountChanged) -> None:
        await use.accounts.change_state(session, event)
        await use.budgeting.of_account(session, event)

    @consumer.on(MemberChanged)
    async def on_member_changed(session: AsyncSession, event: MemberChanged) -> None:
        await use.budgeting.of_member(session, event)

    @consumer.on(ProjectChanged)
    async def on_project_changed(session: AsyncSession, event: ProjectChanged) -> None:
        await use.budgeting.of_project(session, event)

    @consumer.on(ApiKeyChanged)
    async def on_api_key_changed(session: AsyncSession, event: ApiKeyChanged) -> None:
        await use.budgeting.of_api_key(session, event)


def _hear_billing(consumer: Consumer, use: UseCases) -> None:
    @consumer.on(PlanPublished)
    async def on_plan_published(session: AsyncSession, plan: PlanPublished) -> None:
        await catalogue.receive_plan(session, plan)

    @consumer.on(SubscriptionChanged)
    async def on_subscription_changed(session: AsyncSession, event: SubscriptionChanged) -> None:
        await use.accounts.change_subscription(session, event)

    @consumer.on(AccountSettingsChanged)
    async def on_account_settings_changed(session: AsyncSession, event: AccountSettingsChanged) -> None:
        await use.accounts.change_settings(session, event)

    @consumer.on(PaymentSettled)
    async def on_payment_settled(session: AsyncSession, payment: PaymentSettled) -> None:
        await use.granting.grant_payment(session, payment)

    @consumer.on(PaymentReversed)
    async def on_payment_reversed(session: AsyncSession, event: PaymentReversed) -> None:
        await use.reversing.reverse_payment(session, event)
