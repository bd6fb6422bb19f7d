"""Policies: the declarative rules, in versions, that work is pinned to."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from attorn.contracts.envelope import Event
from attorn.contracts.policy import PolicyPublished, PublishPolicy
from attorn.contracts.refusal import Breach, Unreadable
from attorn.projections.directory import Directory
from attorn.services.participant.authority import check_actor
from attorn.services.policy import soundness
from attorn.services.transact import Context


class Policy(msgspec.Struct, frozen=True, tag="policy"):
    newest: PolicyPublished | None = None


initial = Policy()
state_type = Policy


def decide(policy: Policy, command: PublishPolicy, context: Context) -> Sequence[msgspec.Struct]:
    """The next version; none when it says what the newest says."""
    if getattr(command.rules, command.kind) is None:
        raise Unreadable(f"a {command.kind} policy says its rules here", f"rules.{command.kind}")
    newest = policy.newest
    said = PolicyPublished(
        version=newest.version if newest is not None else 1,
        kind=command.kind,
        rules=command.rules,
        effective_at=command.effective_at,
    )
    if newest is None:
        return [said]
    return [] if newest == said else [msgspec.structs.replace(said, version=newest.version + 1)]


def check(policy: Policy, event: Event, directory: Directory) -> Iterator[Breach]:
    """Which rules about policies `event` breaks."""
    yield from check_actor(event, directory)
    data, newest = event.data, policy.newest
    if not isinstance(data, PolicyPublished):
        return
    if newest is not None and data.version <= newest.version:
        detail = f"{event.subject} is at version {newest.version} already; the next is higher"
        yield Breach(rule="version-increasing", detail=detail, field="data.version")
    if newest is not None and data.kind != newest.kind:
        detail = f"{event.subject} is about {newest.kind}; a policy about {data.kind} has an id of its own"
        yield Breach(rule="policy-unsound", detail=detail, field="data.kind")
    yield from soundness.check(data, directory)
    if data.rules.escalation is not None:
        ladder = data.rules.escalation.ladder
        if not ladder or not any(directory.names_person(target) for target in ladder[-1].targets):
            names = ", ".join(ladder[-1].targets) if ladder else "nobody"
            detail = f"the last rung names {names}; it needs a person who is here, or a role that one holds"
            yield Breach(rule="ladder-human", detail=detail, field="data.rules.escalation.ladder")


def evolve(policy: Policy, event: Event) -> Policy:
    """What is true of the policy afterwards."""
    return Policy(event.data) if isinstance(event.data, PolicyPublished) else policy


def attributes(policy: Policy, stream: str, actor: str, directory: Directory) -> dict[str, Any]:
    return {}
