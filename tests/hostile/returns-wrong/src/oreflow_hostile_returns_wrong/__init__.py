"""Returns from a step what is no proper Output; the option `what` says what."""
