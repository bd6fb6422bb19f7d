"""Sources: systems that report facts, and their custodians."""
