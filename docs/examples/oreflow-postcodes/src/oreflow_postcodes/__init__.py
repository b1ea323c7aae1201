"""oreflow-postcodes: UK postcodes in one spelling, with their area; a row with a malformed one is set aside."""

__version__ = "1.0.0"
