"""Commands of attorn in processes of their own, as an operator gives them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

ROOT: Final = Path(__file__).parents[2]
PYTHONPATH: Final = os.pathsep.join(str(ROOT / root) for root in ("contracts", "projections", "services"))
ATTORN: Final = (sys.executable, "-m", "attorn.cli.main")


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run: TypeAlias = Callable[..., Ran]


def environment(**more: str) -> dict[str, str]:
    """That of this process, without what an operator may have set for attorn."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ATTORN_")}
    return inherited | {"PYTHONPATH": PYTHONPATH} | more


def attorn(*argv: str, timeout: float = 30, stdin: str = "", **more: str) -> Ran:
    """A command in a process of its own."""
    ran = subprocess.run(
        [*ATTORN, *argv], input=stdin, capture_output=True, text=True, timeout=timeout, env=environment(**more)
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)
