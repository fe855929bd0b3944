"""Customers' own operations: priced by the book, held and booked like any call (money.md 4-13)."""
