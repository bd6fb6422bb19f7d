"""Executions: who carried the work out, what they did and what they asked."""
