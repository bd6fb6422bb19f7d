"""The entry point of `attorn`: whatever happens ends in an exit code and at most a line or two."""

import gc
import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    # A fifth of the start would be the collector's, looking again and again at modules that stay.
    gc.disable()
    try:
        from attorn.cli.commands import app, ready_help

        given = list(sys.argv[1:] if argv is None else argv)
        ready_help(given)
        return app.meta(given, exit_on_error=False, print_error=False) or 0
    except BrokenPipeError:
        # Whoever read has seen enough. What is still in the buffer goes nowhere, and without a complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        from attorn.cli.errors import report

        return report(error)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
