"""Claims: one at a time works on a thing."""
