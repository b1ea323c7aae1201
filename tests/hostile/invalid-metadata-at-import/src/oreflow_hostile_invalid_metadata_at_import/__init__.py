"""Makes metadata with an impossible stage when it is imported."""
