"""Kaizen: a system of record for the work of coding agents."""

__version__ = "0.1.0"
