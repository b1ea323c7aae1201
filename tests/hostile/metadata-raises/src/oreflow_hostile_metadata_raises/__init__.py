"""Is in the simplest form, and its metadata cannot be had."""
