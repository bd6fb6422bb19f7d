"""Handovers: the work passes from one executor to another."""
