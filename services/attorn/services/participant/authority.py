"""Who may change who takes part, in which roles, and by which rules."""

from collections.abc import Iterator, Sequence
from typing import Final

from attorn.contracts.decision import DecisionRequested
from attorn.contracts.delegation import DelegationExhausted
from attorn.contracts.envelope import Event
from attorn.contracts.escalation import EscalationNotified, WorkEscalated
from attorn.contracts.execution import WorkExecuted
from attorn.contracts.participant import ParticipantSuspended, RoleGranted
from attorn.contracts.refusal import Breach
from attorn.contracts.review import ReviewInvalidated
from attorn.projections.directory import Directory

_OF_AN_OWNER: Final = ("reviewer", "agent_manager", "auditor")
"""The roles that the owner of a process may give in it."""

_ASKING: Final = (WorkEscalated, EscalationNotified, DelegationExhausted, ReviewInvalidated)
"""What asks for help; or follows, by itself, from what was done."""


def check_actor(event: Event, directory: Directory) -> Iterator[Breach]:
    """People decide who takes part, and by which rules; an agent has its mandates in work alone.

    So does a system that one of them gave the word; of any other, it is recorded that it said so, and nothing more.
    """
    if event.authtype == "service_account":
        detail = f"{event.authid} is not a person; {event.subject} is for people to change"
        yield Breach(rule="undelegated-execution", detail=detail)
    if not directory.hears(event):
        kind = event.subject.partition("/")[0]
        ask = f"ask {_custodian(directory)} or an admin to register it with speaks_of {kind}"
        if kind == "source":
            ask = "people register sources"
        detail = f"{event.authid} was not given the word for {event.subject}; {ask}"
        yield Breach(rule="source-authority", detail=detail)
    # Who stops themselves does so before they are stopped; at the door the directory may know of it already.
    stops_itself = isinstance(event.data, ParticipantSuspended) and event.subject == f"participant/{event.authid}"
    if directory.is_suspended(event.authid or "", event.subject) and not stops_itself:
        detail = f"{event.authid} is suspended, and does nothing until somebody else resumes them"
        yield Breach(rule="actor-suspended", detail=detail)


def check_stopped(event: Event, scope: str, directory: Directory) -> Iterator[Breach]:
    """Who is suspended, everywhere or in `scope`, a process's stream, does nothing to work either.

    They may stop, which is to report that what they were at ended without a result, and ask for help: both with what
    follows from it in the same append.
    """
    data, id = event.data, event.authid or ""
    stops = isinstance(data, WorkExecuted) and data.result != "completed"
    if stops or isinstance(data, _ASKING) or not directory.is_suspended(id, scope):
        return
    if isinstance(data, DecisionRequested) and data.escalation_id is not None:
        return
    detail = f"{id} is suspended, and does nothing until somebody else resumes them"
    yield Breach(rule="actor-suspended", detail=detail)


def check_given(id: str, scope: str, field: str, directory: Directory) -> Iterator[Breach]:
    """Nobody is given work, or a say in it, who can do nothing with it, being suspended everywhere or in `scope`."""
    if directory.is_suspended(id, scope):
        detail = f"{id} is suspended, and can take nothing on; resume them first, or name somebody else"
        yield Breach(rule="actor-suspended", detail=detail, field=field)


def check_over(id: str, event: Event, directory: Directory) -> Iterator[Breach]:
    """Who takes somebody out of their place, for a while or for good, is that somebody, or is over them.

    Over them are their superiors all the way up, the sponsor and the agent managers of what is no person, the custodian
    of the ledger, and its admins. Otherwise anybody could make themselves answer for another's work.
    """
    actor, at = event.authid or "", event.time
    if actor == id or _custodian(directory) in (None, actor):
        return
    if directory.has_role(actor, "custodian", "", at) or directory.has_role(actor, "admin", "", at):
        return
    who = directory.participants.get(id)
    if who is not None and who.kind != "human":
        # What is no person stands where its sponsor, or who succeeded them, says.
        is_sponsor = who.sponsor is not None and actor in (who.sponsor, directory.successor(who.sponsor))
        if is_sponsor or directory.has_role(actor, "agent_manager", "", at):
            return
    passed = set[str]()
    while who is not None and who.reports_to is not None and who.id not in passed:
        passed.add(who.id)
        if actor in (who.reports_to, directory.successor(who.reports_to)):
            return
        who = directory.participants.get(who.reports_to)
    ask = f"{id} themselves, who is over them, or {_custodian(directory)}, the custodian of the ledger"
    yield Breach(rule="participant-authority", detail=f"{actor or 'nobody'} has no say over {id}; ask {ask}")


def check_word(event: Event, directory: Directory) -> Iterator[Breach]:
    """Who lets a system speak of people, processes and policies, or takes the word from it, answers for all of them."""
    actor, at = event.authid or "", event.time
    if _custodian(directory) in (None, actor) or any(
        directory.has_role(actor, role, "", at) for role in ("custodian", "admin")
    ):
        return
    ask = f"ask {_custodian(directory)}, the custodian of the ledger, or an admin"
    detail = f"{actor or 'nobody'} does not say what {event.subject} may speak of; {ask}"
    yield Breach(rule="source-authority", detail=detail, field="data.speaks_of")


def check_role(
    role: str, scope: str, event: Event, held: Sequence[RoleGranted], directory: Directory
) -> Iterator[Breach]:
    """The custodian of the ledger and its admins say who holds which role; an owner of a process, who works in it.

    While there is no admin, any person gives the roles that lend no power over others: a house has to begin somewhere.
    `held` are the roles that the participant had before the event.
    """
    if not _may_say(role, scope, event, held, directory):
        where = f" for {scope}" if scope else ""
        ask = f"{_custodian(directory) or 'nobody'}, the custodian of the ledger, or an admin"
        detail = f"{event.authid or 'nobody'} does not say who is {role}{where}; ask {ask}"
        yield Breach(rule="role-authority", detail=detail)


def _custodian(directory: Directory) -> str | None:
    """The custodian of the ledger; once they have left, the person who succeeded them."""
    named = directory.root_custodian()
    return None if named is None else directory.successor(named) or named


def _may_say(role: str, scope: str, event: Event, held: Sequence[RoleGranted], directory: Directory) -> bool:
    actor, at = event.authid or "", event.time
    if event.subject == f"participant/{actor}":
        # What somebody gives themselves is no ground for giving it, nor is what they give up any less one.
        others = any(fact.value.participant != actor for fact in directory.custodians)
        powers = {(r.role, r.scope) for r in held if r.valid_until is None or at <= r.valid_until}
        if not others or powers & {("custodian", ""), ("admin", ""), ("admin", scope)}:
            return True
    elif _custodian(directory) in (None, actor) or directory.has_role(actor, "custodian", "", at):
        return True
    elif directory.has_role(actor, "admin", scope, at):
        return True
    if not directory.is_person(actor):
        return False
    kind, _, id = scope.partition("/")
    process = directory.process(id) if kind == "process" and role in _OF_AN_OWNER else None
    if process is not None and directory.successor(process.owner) == actor:
        return True
    return role not in ("admin", "custodian") and not directory.somebody_is("admin", scope, at)


def check_architect(event: Event, directory: Directory) -> Iterator[Breach]:
    """Once somebody is workflow architect, for this process or everywhere, only they publish and retire it.

    Before, any person may: who is the first to hold the role takes processes in hand. Until then nothing is locked.
    """
    actor, at = event.authid or "", event.time
    if not directory.somebody_is("workflow_architect", event.subject, at):
        return
    if not directory.has_role(actor, "workflow_architect", event.subject, at):
        detail = f"{actor or 'nobody'} is no workflow architect for {event.subject}; ask one to publish or retire it"
        yield Breach(rule="architect-only", detail=detail)
