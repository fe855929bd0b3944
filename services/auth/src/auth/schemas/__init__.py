"""Requests and answers of auth's routes."""
