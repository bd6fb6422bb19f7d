"""Participants: humans, agents, teams and systems, their roles and successors."""
