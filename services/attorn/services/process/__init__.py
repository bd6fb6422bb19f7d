"""Processes: how the work flows, in published versions, what is wrong with one, and the reviews held over it."""
