"""Brings a processor with the name of another package's, that takes every option and publishes nothing."""
