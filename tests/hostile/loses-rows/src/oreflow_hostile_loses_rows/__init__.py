"""Filters rows out of a step without saying so."""
