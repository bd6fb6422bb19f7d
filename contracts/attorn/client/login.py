"""Who a process is for NATS, as its environment says it.

Command lines are for everybody to see, so it is said there: ATTORN_NATS_USER and ATTORN_NATS_PASSWORD, or
ATTORN_NATS_NKEY_SEED, the name of a file with the seed of an nkey. A URL may say it too (nats://ana:secret@host); the
environment wins. Replies come on `_INBOX.<user>.>`, so that a broker with permissions can let everybody hear their own
only; with an nkey, ATTORN_NATS_USER says that name.
"""

import os
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

from attorn.contracts.ids import is_token
from attorn.contracts.refusal import Unavailable


def login(url: str) -> dict[str, Any]:
    """The options of nats-py that say who this process is, none where nobody has said so. Raises Unavailable."""
    user = os.environ.get("ATTORN_NATS_USER") or ""
    seed = os.environ.get("ATTORN_NATS_NKEY_SEED") or ""
    name = user or unquote(urlsplit(url if "//" in url else f"nats://{url}").username or "")
    inbox = {"inbox_prefix": f"_INBOX.{name}"} if is_token(name) else {}
    if seed:
        if find_spec("nkeys") is None:
            raise Unavailable("ATTORN_NATS_NKEY_SEED needs a package: pip install 'nats-py[nkeys]'")
        if not os.access(seed, os.R_OK):
            raise Unavailable(f"ATTORN_NATS_NKEY_SEED: {seed} cannot be read")
        return inbox | {"nkeys_seed": seed}
    if user:
        return inbox | {"user": user, "password": os.environ.get("ATTORN_NATS_PASSWORD") or ""}
    return inbox
