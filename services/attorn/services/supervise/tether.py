"""Become a command that cannot outlive the process that started it.

Run by path, in isolation and before anything else: `python -I -S tether.py <pid of the parent> <command> <argument>…`.
It asks the kernel to be killed when its parent dies (prctl PR_SET_PDEATHSIG, which survives exec), and then is replaced
by the command: same pid, same descriptors, nothing left in between. Asking here and not in a `preexec_fn` keeps Python
code out of the moment between fork and exec, where another thread's lock can be held for ever. Where there is no prctl
(not Linux), the command is only started.

The kernel means the parent's *thread*: an event loop that starts children should run in the main thread, or in one that
outlives them.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        import ctypes

        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the kernel was asked: then nobody would ever end this process.
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")
    # Python ignores these two, and what is ignored stays ignored across exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
