"""The ledger of runs: what the reports say, in tables of a database that can be asked by SQL."""
