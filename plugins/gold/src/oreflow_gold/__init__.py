"""oreflow-gold: business tables, by grouping or by SQL."""
