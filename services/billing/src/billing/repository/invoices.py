"""Mirrors of Stripe's invoices and credit notes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.tables import CreditNoteRow, InvoiceRow

Place = tuple[datetime, str] | None


async def save_invoice(session: AsyncSession, **values: Any) -> None:
    changed = {name: value for name, value in values.items() if name != "id"}
    await session.execute(
        insert(InvoiceRow).values(**values).on_conflict_do_update(index_elements=["id"], set_=changed)
    )


async def find_invoice(session: AsyncSession, invoice_id: str) -> InvoiceRow | None:
    return await session.get(InvoiceRow, invoice_id)


async def find_page(session: AsyncSession, account_id: UUID, payment_id: str) -> str | None:
    """Where the account's invoice with this payment is shown and paid; one that needed no money stands for itself."""
    return await session.scalar(
        select(InvoiceRow.page_url)
        .where(
            InvoiceRow.account_id == account_id, or_(InvoiceRow.payment_id == payment_id, InvoiceRow.id == payment_id)
        )
        .order_by(InvoiceRow.created_at.desc())
        .limit(1)
    )


async def list_invoices(session: AsyncSession, account_id: UUID, *, before: Place, limit: int) -> Sequence[InvoiceRow]:
    """Newest first."""
    query = select(InvoiceRow).where(InvoiceRow.account_id == account_id)
    if before is not None:
        query = query.where(tuple_(InvoiceRow.created_at, InvoiceRow.id) < before)
    rows = await session.scalars(query.order_by(InvoiceRow.created_at.desc(), InvoiceRow.id.desc()).limit(limit))
    return rows.all()


async def save_credit_note(session: AsyncSession, **values: Any) -> None:
    changed = {name: value for name, value in values.items() if name != "id"}
    await session.execute(
        insert(CreditNoteRow).values(**values).on_conflict_do_update(index_elements=["id"], set_=changed)
    )


async def list_credit_notes(
    session: AsyncSession, account_id: UUID, *, before: Place, limit: int
) -> Sequence[CreditNoteRow]:
    """Newest first."""
    query = select(CreditNoteRow).where(CreditNoteRow.account_id == account_id)
    if before is not None:
        query = query.where(tuple_(CreditNoteRow.created_at, CreditNoteRow.id) < before)
    rows = await session.scalars(query.order_by(CreditNoteRow.created_at.desc(), CreditNoteRow.id.desc()).limit(limit))
    return rows.all()
