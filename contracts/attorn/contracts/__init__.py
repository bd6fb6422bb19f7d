"""What crosses a process boundary: the events, the commands and how they are written; data only."""
