"""Delegations: what was entrusted to whom, within which bounds."""
