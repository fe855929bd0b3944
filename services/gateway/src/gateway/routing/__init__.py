"""Providers, models, aliases, routes: what a call may use, in which order, and what is well."""
