"""Metrics: how well each agent works, measured over time."""
