"""oreflow-bronze: raw files, as they came, become an append-only table."""
