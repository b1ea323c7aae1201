"""Brings a processor with the name of the one of name-twice-a."""
