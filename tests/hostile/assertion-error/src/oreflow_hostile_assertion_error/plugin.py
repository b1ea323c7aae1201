"""Fails an assertion when it is imported."""

assert False, "the world is not as this plugin expects it"  # noqa: B011  the assertion is the fault
