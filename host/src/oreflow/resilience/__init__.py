"""Resilience: how errors are classified, and what is done about them."""
