"""Machinery that every service shares; it knows no domain words."""
