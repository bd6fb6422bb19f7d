"""Views: each a row and a pure fold of the log over it, without I/O and without a clock."""
