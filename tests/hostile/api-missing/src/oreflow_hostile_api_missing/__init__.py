"""Does not say which API it is written for."""
