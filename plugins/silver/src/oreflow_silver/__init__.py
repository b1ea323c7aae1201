"""oreflow-silver: raw rows become typed, cleaned, deduplicated rows; and the standard kinds of quality check."""
