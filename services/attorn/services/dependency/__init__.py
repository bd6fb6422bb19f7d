"""Dependencies: what work waits for, and who tells it that it need not any more."""
