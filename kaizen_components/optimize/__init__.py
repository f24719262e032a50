"""Optimizer runs: the search for a better text over frozen cases, as evidence."""
