"""Decisions: what was recommended, what somebody has to choose, and who has the authority to."""
