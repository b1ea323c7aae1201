"""Prints to standard output, which belongs to the host."""
