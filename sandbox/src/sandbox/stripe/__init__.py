"""A stateful stand-in for the part of Stripe's API that billing calls.

It refuses with 501 what it does not do and never claims to equal Stripe.
"""

API_VERSION = "2026-10-28.endive"
