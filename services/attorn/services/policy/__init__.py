"""Policies: published versions of the rules that work is pinned to."""
