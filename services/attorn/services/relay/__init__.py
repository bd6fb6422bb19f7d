"""Relay: every event once more, where subscribers can choose."""
