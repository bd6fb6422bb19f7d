"""Processes: published versions and their owners."""
