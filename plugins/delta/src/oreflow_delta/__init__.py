"""oreflow-delta: Delta Lake tables for oreflow, by deltalake (delta-rs). Importing it loads no Delta library."""
