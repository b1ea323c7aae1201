"""Changes what the host hands to a step; the option `what` says what."""
