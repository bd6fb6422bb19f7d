"""Logs that others wrote, read so that they can become work in the ledger."""
