"""Plants faults in a copy of the sources, one by one, and demands that the tests catch each, so that none is blind.

    python tools/planted_faults.py            # all of them, two at a time
    python tools/planted_faults.py claim      # those in whose file, or of whose reason, this is a part

Each fault is one small edit that changes what the rules mean. A test that names it must fail, by its own assertion: a
copy that cannot even be imported proves nothing. Exits with 1 when a fault survives, or is no longer to be found.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
COPIED: Final = ("contracts", "projections", "services", "tests", "bench", "pyproject.toml")
AT_ONCE: Final = 2
SECONDS_MAX: Final = 120
"""How long the tests of one fault may take; one that makes them hang is not caught by an assertion."""

LIFECYCLE: Final = "projections/attorn/projections/lifecycle.py"
DIRECTORY: Final = "projections/attorn/projections/directory.py"
STATE: Final = "services/attorn/services/work/state.py"
WORK: Final = "services/attorn/services/work/model.py"
DELEGATION: Final = "services/attorn/services/delegation/model.py"
BOUNDS: Final = "projections/attorn/projections/bounds.py"
REVIEW: Final = "services/attorn/services/review/model.py"
EXECUTION: Final = "services/attorn/services/execution/model.py"
CLAIM: Final = "services/attorn/services/claim/model.py"
ESCALATION: Final = "services/attorn/services/escalation/model.py"
STANDING: Final = "services/attorn/services/work/standing.py"


class Fault(NamedTuple):
    """`old` stands in `file` exactly once; with `new` in its place, what `why` says is true, and `tests` catch it."""

    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]


FAULTS: Final = (
    Fault(
        STANDING,
        "if circle.holds(work, data, person.id, event, directory):",
        "if circle.who:",
        "anybody moves anybody's work",
        ("tests/services/test_standing.py",),
    ),
    Fault(
        "services/attorn/services/review/request.py",
        "return tuple(found) or tuple(work.authorities(directory)) or rules.candidates",
        "return tuple(found)",
        "a review is anybody's when all whom its policy names may not",
        ("tests/services/test_review.py",),
    ),
    Fault(
        "services/attorn/services/participant/authority.py",
        "if stops or isinstance(data, _ASKING) or not directory.is_suspended(id, scope):",
        'if stops or isinstance(data, _ASKING) or directory.kind(id) == "agent":',
        "an agent goes on while it is suspended",
        ("tests/services/test_delegation.py",),
    ),
    Fault(
        LIFECYCLE,
        'Lifecycle("ready", life.cycle + 1',
        'Lifecycle("ready", life.cycle',
        "reopened work goes on in the old cycle",
        ("tests/projections/test_lifecycle.py",),
    ),
    Fault(
        LIFECYCLE,
        '"in_review" if left else "submitted"',
        '"submitted"',
        "one verdict ends a review that wants two",
        ("tests/projections/test_lifecycle.py",),
    ),
    Fault(
        LIFECYCLE,
        "    if id in life.over or life.state in ENDED",
        "    if life.state in ENDED",
        "the end of an execution that is over takes the work from who has it now",
        ("tests/services/test_late.py",),
    ),
    Fault(
        LIFECYCLE,
        "or life.state in ENDED or life.back in ENDED:",
        "or life.back in ENDED:",
        "work is led out of its end by what was carried out before",
        ("tests/services/test_late.py",),
    ),
    Fault(
        WORK,
        "executor=data.executor) if not work.life.executions else work",
        "executor=data.executor) if data.execution_id not in work.life.executions else work",
        "who joins work that others are at comes to be its executor",
        ("tests/services/test_late.py",),
    ),
    Fault(
        WORK,
        "whole is not None and whole.completed and",
        "whole is not None and not whole.completed and",
        "completed work gets parts that are open",
        ("tests/services/test_late.py",),
    ),
    Fault(
        "services/attorn/services/claim/effect.py",
        "    if stale or id in work.claims or",
        "    if stale or id is not None or",
        "who works under a claim that nobody made is not found",
        ("tests/services/test_late.py",),
    ),
    Fault(
        "services/attorn/services/rulebook.py",
        "{**finding.CHECKS, **misplaced.CHECKS[kind]}",
        "{**finding.CHECKS}",
        "what counts for nothing where it stands is not found there",
        ("tests/services/test_misplaced.py",),
    ),
    Fault(
        LIFECYCLE,
        '"waiting_input" if inputs or blockers else',
        '"waiting_input" if inputs else',
        "a blocking escalation halts nobody",
        ("tests/projections/test_lifecycle.py",),
    ),
    Fault(
        "services/attorn/services/rulebook.py",
        "work.CHANGES, work.MOVES,",
        "work.MOVES, work.CHANGES,",
        "whoever begins with the work does not come to be its executor",
        ("tests/services/test_work.py", "tests/services/test_execution.py"),
    ),
    Fault(
        "services/attorn/services/rulebook.py",
        "work.STEPS, work.CHECKS, work.MANDATES,",
        "work.STEPS, work.CHECKS,",
        "an agent moves work that nobody has entrusted it with",
        ("tests/services/test_rulebook.py",),
    ),
    Fault(
        WORK,
        "named=data.to, offered_to=None",
        "offered_to=None",
        "the rules overlook that accountability was transferred",
        ("tests/services/test_work.py",),
    ),
    Fault(
        WORK,
        "    ClaimExpired: _leave,\n",
        "",
        "who had claimed an item has it when the claim is over",
        ("tests/services/test_moving.py",),
    ),
    Fault(
        WORK,
        "assigned=None, verdicts={}, readied=None",
        "assigned=None, readied=None",
        "reopened work keeps the verdicts of its old cycle",
        ("tests/properties/test_to_the_instant.py",),
    ),
    Fault(
        WORK,
        "if escalation.raised.blocking and escalation.is_open:",
        'if escalation.raised.blocking and escalation.status == "open":',
        "work is completed while a blocking escalation is only acknowledged",
        ("tests/properties/test_to_the_instant.py",),
    ),
    Fault(
        WORK,
        "    if parts:",
        "    if len(parts) > 1:",
        "a whole is completed while one part is open",
        ("tests/services/test_dependency.py",),
    ),
    Fault(
        "projections/attorn/projections/accountability.py",
        "named, basis = data.to, data.basis",
        "named, basis = data.from_ or data.to, data.basis",
        "the view of ownership overlooks transfers",
        ("tests/projections/test_accountability.py",),
    ),
    Fault(
        DIRECTORY,
        "            id = departure.value.successor\n",
        "            return departure.value.successor\n",
        "a succession is lost when the successor leaves, too",
        ("tests/projections/test_accountability.py",),
    ),
    Fault(
        DIRECTORY,
        "next((fact for fact in who.left if asof.covers(fact.stamp)), None)",
        "next((fact for fact in reversed(who.left) if asof.covers(fact.stamp)), None)",
        "a later report changes who succeeded",
        ("tests/properties/test_to_the_instant.py",),
    ),
    Fault(
        STATE,
        "all(each.is_live(at) for each in self.lineage(held.terms.delegation_id))",
        "held.is_live(at)",
        "a delegation outlives the one that it descends from",
        ("tests/properties/test_found.py",),
    ),
    Fault(
        STATE,
        "terms.valid_until is None or at <= terms.valid_until",
        "terms.valid_until is None or at < terms.valid_until",
        "a delegation is over at its last instant already",
        ("tests/properties/test_to_the_instant.py",),
    ),
    Fault(
        DELEGATION,
        "for d in _descendants(work, data.delegation_id) if _status(work, d) not in _OVER",
        "for d in {data.delegation_id} & work.delegations.keys() if _status(work, d) not in _OVER",
        "what descends from a revoked delegation stands as if it were in force",
        ("tests/properties/test_to_the_instant.py",),
    ),
    Fault(
        BOUNDS,
        "elif child.max_depth >= parent.max_depth:",
        "elif child.max_depth > parent.max_depth:",
        "delegations are passed on without end",
        ("tests/services/test_delegation.py",),
    ),
    Fault(
        BOUNDS,
        "> AUTONOMY.index(before.autonomy or AUTONOMY[0])",
        "> AUTONOMY.index(before.autonomy or AUTONOMY[0]) + 1",
        "whoever passes it on allows a step more than they may do",
        ("tests/services/test_delegation.py",),
    ),
    Fault(
        DELEGATION,
        "    if work.life.state in ENDED:",
        '    if work.life.state in ENDED - {"completed"}:',
        "somebody is entrusted with work that is completed",
        ("tests/services/test_delegation.py",),
    ),
    Fault(
        EXECUTION,
        'work.life.state != "claimed"',
        'work.life.state != "in_progress"',
        "anybody begins what was given to somebody else",
        ("tests/services/test_execution.py",),
    ),
    Fault(
        EXECUTION,
        "    if data.execution_id in work.life.executions:",
        "    if data.execution_id not in work.life.executions:",
        "who starts again by the id of an execution that runs has it from then on",
        ("tests/services/test_execution.py",),
    ),
    Fault(
        EXECUTION,
        "    WorkEscalated: _escalate,\n",
        "",
        "who has asked somebody by then is found not to have",
        ("tests/services/test_delegation.py",),
    ),
    Fault(
        "services/attorn/services/delegation/budget.py",
        "uses=1) if started.execution_id not in work.executions else work",
        "uses=1)",
        "a start that is reported again is a second use",
        ("tests/services/test_delegation.py",),
    ),
    Fault(
        "services/attorn/services/claim/effect.py",
        "    OutputProduced: _check_fence,\n",
        "",
        "what is shown under a stale fence counts",
        ("tests/services/test_claim.py",),
    ),
    Fault(
        "services/attorn/services/output/model.py",
        '_UNFINISHED: Final = frozenset({"failed", "cancelled", "superseded"})',
        '_UNFINISHED: Final = frozenset({"failed", "superseded"})',
        "what cancelled work has made goes out",
        ("tests/services/test_output.py",),
    ),
    Fault(
        "services/attorn/services/review/request.py",
        "for id, made in work.outputs.items() if made.withdrawn)",
        "for id, made in work.outputs.items() if made.released)",
        "who withdraws what was picked out, and hands in another, draws again",
        ("tests/services/test_review.py",),
    ),
    Fault(
        REVIEW,
        "    if made is not None and reviewer in made.makers:\n        detail",
        "    if made is not None and reviewer in made.makers[:-1]:\n        detail",
        "who made it last reviews it",
        ("tests/services/test_review.py", "tests/services/test_rules.py"),
    ),
    Fault(
        EXECUTION,
        "            makers |= dict.fromkeys(made.makers)",
        "            pass",
        "who made what it replaces reviews it",
        ("tests/services/test_review.py", "tests/properties/test_to_the_instant.py"),
    ),
    Fault(
        REVIEW,
        "met = len(set(approved)) >= request.required",
        "met = len(approved) >= request.required",
        "a quorum counts the same reviewer twice",
        ("tests/properties/test_to_the_instant.py",),
    ),
    Fault(
        REVIEW,
        "return directory.is_person(reviewer) and may",
        "return directory.is_person(reviewer)",
        "anybody waives a review",
        ("tests/services/test_review.py",),
    ),
    Fault(
        STATE,
        "last = about[-1]",
        "last = about[0]",
        "what was approved once goes out, though the same bytes were sent back since",
        ("tests/services/test_review.py",),
    ),
    Fault(
        CLAIM,
        "fence=claims.fence + 1",
        "fence=max(claims.fence, 1)",
        "the fence of a claim does not grow",
        ("tests/services/test_claim.py",),
    ),
    Fault(
        CLAIM,
        "held.lease_until is None or at < held.lease_until",
        "held.lease_until is None or at <= held.lease_until",
        "a lease lasts an instant longer than it says",
        ("tests/properties/test_to_the_instant.py",),
    ),
    Fault(
        CLAIM,
        "            if fence <= claims.fence or fence > FENCE_MAX",
        "            if fence < claims.fence or fence > FENCE_MAX",
        "who reports an old fence takes the claim away",
        ("tests/services/test_rules.py",),
    ),
    Fault(
        "projections/attorn/projections/relations.py",
        'is over" if self.is_past(claim_id) else None',
        'is over" if not claim_id else None',
        "what is done under a stale fence counts",
        ("tests/services/test_claim.py",),
    ),
    Fault(
        "projections/attorn/projections/relations.py",
        "    if not relations.fences.get(key, 0) < data.fence <= FENCE_MAX:",
        "    if data.key in relations.holding and relations.fences.get(key, 0) >= data.fence:",
        "an old claim that is told of again, when nobody holds the key, is one again",
        ("tests/services/test_claim.py",),
    ),
    Fault(
        DIRECTORY,
        "kind in source.speaks_of or",
        "source.custodian or",
        "a system changes the roles of people without having been given the word for it",
        ("tests/services/test_participant.py",),
    ),
    Fault(
        DIRECTORY,
        "        if KIND_BY_EVENT.get(event.data.__class__) != kind or not self.hears(event):",
        "        if not self.hears(event):",
        "a source that may speak of policies says in one of them who is admin",
        ("tests/services/test_participant.py",),
    ),
    Fault(
        "services/attorn/services/participant/authority.py",
        "    if _custodian(directory) in (None, actor) or any(\n",
        "    if directory.is_person(actor) or any(\n",
        "anybody lets a system speak of people",
        ("tests/services/test_participant.py",),
    ),
    Fault(
        "services/attorn/services/source/model.py",
        "    if {*event.data.speaks_of} != {*before}:",
        "    if {*event.data.speaks_of} - {*before}:",
        "anybody takes the word from a system",
        ("tests/services/test_participant.py",),
    ),
    Fault(
        "services/attorn/services/transact.py",
        "return [Entry(door.outgoing(entry.body), entry.body) for entry in entries], state",
        "return entries, state",
        "an event of our own is recorded that nobody can read again",
        ("tests/services/test_transact.py",),
    ),
    Fault(
        "projections/attorn/projections/relations.py",
        "    if after.state not in ENDED:\n        relations._open(id)",
        "    if after.state not in ENDED:\n        pass",
        "somebody leaves behind what a fact led out of its end",
        ("tests/services/test_relations.py",),
    ),
    Fault(
        "projections/attorn/projections/relations.py",
        "relations.late.add(_digest(data.claim_id))",
        "relations.past.add(_digest(data.claim_id))",
        "who tells of a claim too late takes its id from everybody",
        ("tests/services/test_relations.py",),
    ),
    Fault(
        "projections/attorn/projections/relations.py",
        "ahead += self.needs.get(at, ())",
        "ahead += ()",
        "work waits for itself by way of others",
        ("tests/services/test_dependency.py",),
    ),
    Fault(
        "services/attorn/services/dependency/model.py",
        "and not left and not work.blocked",
        "and not work.blocked",
        "work goes on while it waits for other work still",
        ("tests/services/test_dependency.py",),
    ),
    Fault(
        ESCALATION,
        "return isinstance(data, EscalationCancelled) and not raised.blocking",
        "return True",
        "an agent settles what it raised itself",
        ("tests/services/test_escalation.py",),
    ),
    Fault(
        ESCALATION,
        'if status in ("resolved", "cancelled") else next_due',
        'if status in ("resolved", "cancelled", "answered") else next_due',
        "an escalation that was answered, and never settled, rests for ever",
        ("tests/services/test_escalation.py", "tests/properties/test_to_the_instant.py"),
    ),
    Fault(
        "services/attorn/services/handover/model.py",
        "and known.offered.from_ != work.executor:",
        "and known.offered.from_ is None:",
        "work is taken from somebody who never offered it",
        ("tests/services/test_handover.py",),
    ),
    Fault(
        "services/attorn/services/participant/model.py",
        '(successor == id or not directory.is_person(successor or ""))',
        "successor == id",
        "a person leaves to nobody, or to an agent",
        ("tests/services/test_participant.py",),
    ),
    Fault(
        "projections/attorn/projections/board.py",
        'FINISHED: Final = ENDED | {"submitted", "verified"}',
        "FINISHED: Final = ENDED",
        "the board calls work overdue that was handed in",
        ("tests/projections/test_board.py",),
    ),
    Fault(
        "projections/attorn/projections/holding.py",
        "    if data.__class__ in _LEFT:\n        return None",
        "    if data.__class__ in _LEFT:\n        return row",
        "who let go still holds it",
        ("tests/projections/test_holding.py",),
    ),
    Fault(
        "projections/attorn/projections/holding.py",
        "            if not fence < data.fence <= FENCE_MAX or",
        "            if held is not None and not fence < data.fence <= FENCE_MAX or",
        "who reports an old claim on a key that is free is shown as its holder",
        ("tests/projections/test_holding.py",),
    ),
    Fault(
        "projections/attorn/projections/findings.py",
        "return finding if said is None else",
        "return finding if said is not None else",
        "what people decided about a finding is forgotten",
        ("tests/projections/test_findings.py",),
    ),
)


def main(asked: Sequence[str]) -> int:
    begun = time.monotonic()
    faults = [fault for fault in FAULTS if all(word in fault.file or word in fault.why for word in asked)]
    lost = [fault for fault in faults if (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) != 1]
    for fault in lost:
        print(f"not found once in {fault.file}: {fault.old!r}; say anew what would be wrong: {fault.why}")
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        trees: Queue[Path] = Queue()
        for number in range(AT_ONCE):
            trees.put(_copied(Path(folder) / str(number)))
        # First without any fault: tests that fail anyhow would catch everything.
        tree = trees.get()
        code, output = _run(tree, sorted({test for fault in faults for test in fault.tests}), ())
        trees.put(tree)
        if code:
            print(f"the tests fail without a fault:\n{output}")
            return 1
        with ThreadPoolExecutor(AT_ONCE) as workers:
            results = list(workers.map(lambda fault: _plant(fault, trees), (f for f in faults if f not in lost)))
    survived = [line for is_caught, line in results if not is_caught]
    for _, line in results:
        print(line)
    print(f"{len(results) - len(survived)} of {len(faults)} planted faults caught, {time.monotonic() - begun:.0f} s")
    return 1 if lost or survived or not faults else 0


def _copied(tree: Path) -> Path:
    """The sources and tests, with their compiled files, which go by the times of the sources: copied as well."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("node_modules"))
        else:
            shutil.copy2(ROOT / name, tree / name)
    return tree


def _plant(fault: Fault, trees: "Queue[Path]") -> tuple[bool, str]:
    tree = trees.get()
    try:
        place = tree / fault.file
        sound = place.read_text(encoding="utf-8")
        place.write_text(sound.replace(fault.old, fault.new), encoding="utf-8")
        try:
            code, output = _run(tree, fault.tests, ("-x",))
        finally:
            shutil.copy2(ROOT / fault.file, place)
        caught = next(_failed(output), "")
        if code == 1 and caught:
            return True, f"{fault.why:<76} caught by {caught}"
        said = "SURVIVED" if code == 0 else f"NOT TRIED, pytest ended with {code}: {output.strip()[-400:]}"
        return False, f"{fault.why:<76} {said} ({fault.file}, {' '.join(fault.tests)})"
    finally:
        trees.put(tree)


def _run(tree: Path, tests: Sequence[str], options: Sequence[str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *options, *tests]
    paths = os.pathsep.join(str(tree / root) for root in ("contracts", "projections", "services", "tests"))
    # Nothing compiled is kept: of two versions of a file within a second, the older one might be read.
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return -1, f"took longer than {SECONDS_MAX} s"
    return done.returncode, done.stdout + done.stderr


def _failed(output: str) -> Iterator[str]:
    for line in output.splitlines():
        if line.startswith("FAILED "):
            yield line.removeprefix("FAILED ").partition(" - ")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
