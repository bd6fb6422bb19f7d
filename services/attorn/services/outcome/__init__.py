"""Outcomes: what the work is for, and where it stood before."""
