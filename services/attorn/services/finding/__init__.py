"""Findings: what people decide about a rule that was broken."""
