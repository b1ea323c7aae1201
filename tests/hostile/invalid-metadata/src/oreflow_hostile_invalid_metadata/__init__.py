"""Makes metadata with an impossible stage when it is asked for its processors."""
