"""When a process of ours looks for garbage: seldom, since nearly all that it makes is freed without looking.

Python looks through the young objects whenever 700 more of them are there, and through all objects every now and then.
Whoever has hundreds of commands in flight has thousands of young objects, and none of them is garbage: looking through
them was a fifth of what a command cost, and a tenth of a replay.
"""

import gc
from typing import Final

YOUNG_MAX: Final = 50_000
"""So many more objects made than freed, some megabytes, and the young ones are looked through."""


def look_seldom() -> None:
    """To be called once all modules are imported: what is there then stays, and is never looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 20, 100)
