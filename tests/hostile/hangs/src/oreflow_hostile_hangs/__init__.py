"""Sleeps for an hour when it is imported."""
