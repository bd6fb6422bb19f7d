"""Intake: facts from other systems, in through the fact doors."""
