"""The entry point of `attorn`: whatever happens ends in an exit code and at most a line or two."""

import gc
import io
import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    # A fifth of the start would be the collector's, looking again and again at modules that stay.
    gc.disable()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Of a name that the terminal has no letters for, the rest is still worth reading.
        sys.stdout.reconfigure(errors="replace")
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        from attorn.cli.commands import app, in_order, ready_help

        given = [_decoded(each) for each in given]
        ready_help(given)
        return app.meta(in_order(given), exit_on_error=False, print_error=False) or 0
    except BrokenPipeError:
        # Whoever read has seen enough. What is still in the buffer goes nowhere, and without a complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        from attorn.cli.commands import output_of
        from attorn.cli.errors import report

        return report(error, output_of(given))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    finally:
        gc.enable()


def _decoded(word: str) -> str:
    """What was typed is UTF-8, also where the locale says ASCII, and Python took the bytes for no characters."""
    return os.fsencode(word).decode("utf-8") if any("\udc80" <= c <= "\udcff" for c in word) else word


if __name__ == "__main__":
    sys.exit(main())
