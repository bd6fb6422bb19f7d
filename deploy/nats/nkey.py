"""An nkey for one user: its seed goes into a new file for the holder alone, its public key is printed for logins.conf.

python nkey.py refunds-bot.nk
"""

import os
import sys

import nkeys  # type: ignore[import-not-found,unused-ignore]


def main(path: str) -> str:
    """Write the seed; return the public key. Raises FileExistsError: a seed is never overwritten."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(bytes(seed) + b"\n")
    return bytes(nkeys.from_seed(bytearray(seed)).public_key).decode()


if __name__ == "__main__":
    print(main(sys.argv[1]))
