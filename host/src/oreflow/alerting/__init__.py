"""Alerts: rules of a declaration, what they find in runs, and the ways by which people hear of it."""
