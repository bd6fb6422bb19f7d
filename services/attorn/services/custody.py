"""The ledger's root custodian: the person who answers when nobody else does, there from the first position on."""

from datetime import datetime
from typing import Final

from attorn.contracts import codec
from attorn.contracts.envelope import Entry
from attorn.contracts.ledger import Ledger
from attorn.contracts.participant import ParticipantRegistered, RoleGranted
from attorn.contracts.refusal import Conflict

SOURCE: Final = "/attorn/provision"


async def ensure_custodian(ledger: Ledger, id: str, name: str, at: datetime) -> bool:
    """Make `id` a person and custodian of the ledger, unless the ledger has participants; whether it did.

    Both events are one append at version 0, so that a ledger begins with a person who answers, or not at all.
    """
    if await ledger.last("participant"):
        return False
    stream = f"participant/{id}"
    attributes = {"source": SOURCE, "subject": stream, "time": at, "authid": id, "authtype": "user"}
    entries: list[Entry] = [
        codec.seal(codec.event(payload, id=f"custodian-{version}", **attributes), version)
        for version, payload in enumerate(
            (
                ParticipantRegistered(participant_id=id, kind="human", display_name=name),
                RoleGranted(role="custodian"),
            ),
            start=1,
        )
    ]
    try:
        await ledger.append(stream, 0, entries)
    except Conflict:
        return False  # another provisioning was faster, with the same person
    return True
