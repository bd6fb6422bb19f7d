"""Escalations: asking somebody with more say, and what they decide."""
