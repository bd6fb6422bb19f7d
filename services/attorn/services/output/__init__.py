"""Outputs: what came out of the work, what was found in it, whether it may go out."""
