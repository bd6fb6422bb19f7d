"""The ledgers: what keeps the log. contracts/ledger.py says what each does, tests/ledger/test_ledger.py proves it."""
