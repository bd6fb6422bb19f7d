"""The command line: each file is one family of commands, and loads what it needs only when it runs."""
