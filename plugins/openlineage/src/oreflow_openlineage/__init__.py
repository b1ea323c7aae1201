"""oreflow-openlineage: what a run reads and writes, column by column, as events of OpenLineage."""
