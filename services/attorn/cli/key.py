"""`attorn key`: the keys with which participants sign."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.inputs import command, read
from attorn.cli.options import Given, Limit, Reason
from attorn.cli.output import Column, write_list
from attorn.cli.paging import listed, others
from attorn.cli.telling import tell_plainly
from attorn.contracts.participant import RegisterKey, RevokeKey

app = App(name="key", help="The keys with which participants sign.")

Participant = Annotated[str, Parameter(metavar="WHO", help="Whose key it is.")]
Key = Annotated[str, Parameter(metavar="KEY", help="What the key is called.")]
From = Annotated[int | None, Parameter(metavar="N", help="From which position of the log on; by default from here.")]

COLUMNS = (
    Column("WHO", "id", "id"),
    Column("KEY", "key_id", "id"),
    Column("FROM", "valid_from", "number"),
    Column("UNTIL", "until", "number"),
    Column("PUBLIC KEY", "public_key"),
)


@app.command
async def register(
    participant: Participant,
    key: Key,
    public: Annotated[str, Parameter(metavar="FILE", help="It, or its file; - is standard input.")],
    /,
    *,
    valid_from: From = None,
    options: Given,
) -> None:
    """Let what a key signs be the participant's word.

    Example: attorn key register ana laptop ana.pub
    """
    text = read(public).decode("utf-8").strip() if public == "-" or Path(public).exists() else public
    said = {"participant_id": participant, "key_id": key, "public_key": text, "valid_from": valid_from}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(RegisterKey, said), f"{key} speaks for {participant}")


@app.command
async def revoke(
    participant: Participant, key: Key, /, *, valid_from: From = None, reason: Reason = None, options: Given
) -> None:
    """Let what a key signs count for nothing.

    Example: attorn key revoke ana laptop --reason "lost"
    """
    said = {"participant_id": participant, "key_id": key, "valid_from": valid_from, "reason": reason}
    async with connected(options) as attorn:
        await tell_plainly(attorn, command(RevokeKey, said), f"{key} no longer speaks for {participant}")


@app.command
async def ls(*, limit: Limit = 100, options: Given) -> None:
    """List the keys, and from where to where in the log each speaks for its owner.

    Example: attorn key ls
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "keys", "keys", limit)
    write_list(options, found, COLUMNS, id="key_id", nothing="no key is registered", more=others(more))
