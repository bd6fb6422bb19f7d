"""Audit: whether controls were kept, output by output; what each process has of them; how each agent's work held up."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from attorn.contracts.decision import DecisionMade
from attorn.contracts.execution import ExecutionGuided, ExecutionInputProvided
from attorn.contracts.ids import Pinned, Timestamp
from attorn.contracts.review import WorkReviewed
from attorn.projections import activity, board, controls, timeline
from attorn.projections.directory import AsOf, Directory
from attorn.projections.fold import Rows
from attorn.projections.questions.paging import FINISHED, OPEN, PAGE, Limit, marks

Flag: TypeAlias = Literal["released unreviewed", "self-reviewed", "waived", "not drawn", "rubber-stamp suspected"]


class AskControls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`flag`: only outputs that this is said of. A page may be shorter than `limit` and still have a `next`."""

    flag: Flag | None = None
    work: str | None = None
    after: str = ""
    limit: Limit = 100


class AskCoverage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`at`: the time that days are counted back from; without it, none are."""

    process: str | None = None
    at: Timestamp | None = None
    after: str = ""
    limit: Limit = 100


class AskLooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`at`: the time that days are counted back from; without it, none are."""

    agent: str
    at: Timestamp | None = None


class AskScorecard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    agent: str
    process: str | None = None


class Controlled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An output, and what it went through. `executor` made it, `reviewer` gave the last verdict on it."""

    key: str
    work: str
    output: str
    produced_position: int
    verdicts: int
    flags: tuple[Flag, ...] = ()
    process: str | None = None
    contribution: str | None = None
    executor: str | None = None
    first: str | None = None
    last: str | None = None
    reviewer: str | None = None
    seconds_spent: int | None = None
    seconds_min: int | None = None
    policy: Pinned | None = None
    sent_back: int = 0
    edited: int = 0
    waived_by: str | None = None
    authority: str | None = None
    drawn: bool = False
    released: str | None = None
    released_position: int = 0
    withdrawn_position: int = 0


class Controls(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of outputs, in order of their work items."""

    position: int
    outputs: tuple[Controlled, ...] = ()
    next: str | None = None


class Coverage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which controls a process has in its newest version; `holes` are those that are missing, in a word each.

    `heartbeat` says that each agent at work in it has one, which holds also where there is none. `covered` is the
    share of the six that are there.
    """

    process: str
    version: int
    open: int
    covered: float
    holes: tuple[str, ...] = ()
    owner: str | None = None
    reviewers: int = 0
    ladder: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    retention: bool = False
    looked_at: datetime | None = None
    looked_by: str | None = None
    days_since: float | None = None


class Coverages(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of processes, in order of their ids."""

    position: int
    count: int
    processes: tuple[Coverage, ...] = ()
    next: str | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a human last looked at what an agent does: reviewed, decided, answered or guided it. None: never."""

    agent: str
    position: int
    work: str | None = None
    looked_at: datetime | None = None
    looked_by: str | None = None
    looked_position: int | None = None
    days_since: float | None = None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent's work under one version of its instructions in one process held up.

    `first_pass` is the share of reviewed outputs whose first verdict approved them as they were; `override` the share
    that people changed or refused; `rework` how often one was sent back, per reviewed output; `error` the share of
    ended executions that failed. None where there is nothing to divide by.
    """

    process: str | None
    instructions_dig: str | None
    executions: int
    ended: int
    outputs: int
    reviewed: int
    first_pass: float | None
    override: float | None
    rework: float | None
    error: float | None


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """`complete` is False where the agent has more executions than the newest ones that were looked at."""

    agent: str
    position: int
    scores: tuple[Score, ...]
    complete: bool


def controlled(rows: Rows, directory: Directory, asked: AskControls) -> Controls:
    """What outputs went through before others relied on them; those released unreviewed, self-reviewed, waived."""
    conditions, parameters = ["output IS NOT NULL"], list[Any]()
    if asked.work is not None:
        conditions.append("key BETWEEN ? AND ?")
        parameters += (f"{asked.work}/o/", f"{asked.work}/o/~")
    if asked.flag in _RELEASED:
        conditions.append("released = ?")
        parameters.append(_RELEASED[asked.flag])
    if asked.flag == "self-reviewed":
        conditions.append("verdicts > 0")
    if asked.flag == "rubber-stamp suspected":
        conditions.append("seconds_spent IS NOT NULL")
    where = " AND ".join([*conditions, "key > ?"])
    found: list[Controlled] = []
    after, more = asked.after, True
    for _ in range(_PAGES_READ):
        page = rows.select(controls.Row, where, [*parameters, after], "key", asked.limit + 1)
        more = len(page) > asked.limit
        for each in _described(rows, directory, page[: asked.limit]):
            if asked.flag is None or asked.flag in each.flags:
                found.append(each)
                if len(found) == asked.limit:
                    end = None if not more and each.key == page[-1].key else each.key
                    return Controls(position=rows.position, outputs=tuple(found), next=end)
        if not more:
            break
        after = page[asked.limit - 1].key
    return Controls(position=rows.position, outputs=tuple(found), next=after if more else None)


def coverage(rows: Rows, directory: Directory, asked: AskCoverage) -> Coverages:
    """Which controls each process has: owner, reviewer, escalation path, heartbeat, retention, a human's last look."""
    asof = AsOf(position=rows.position)
    ids = [id for id in sorted(directory.processes) if directory.process(id, asof=asof) is not None]
    if asked.process is not None:
        ids = [id for id in ids if id == asked.process]
    page = [id for id in ids if id > asked.after][: asked.limit + 1]
    looks = _looks(rows, directory, set(page[: asked.limit]), lambda item: item.process)
    return Coverages(
        position=rows.position,
        count=len(ids),
        processes=tuple(_coverage(rows, directory, id, looks.get(id), asked.at) for id in page[: asked.limit]),
        next=page[asked.limit - 1] if len(page) > asked.limit else None,
    )


def last_look(rows: Rows, directory: Directory, asked: AskLooks) -> Look:
    """When a human last looked at the work that an agent carries out, or carried out last."""
    row = _looks(rows, directory, {asked.agent}, lambda item: item.kept.last_executor).get(asked.agent)
    if row is None:
        return Look(agent=asked.agent, position=rows.position)
    return Look(
        agent=asked.agent,
        position=rows.position,
        work=row.id,
        looked_at=row.time,
        looked_by=row.actor,
        looked_position=row.position,
        days_since=_days(row.time, asked.at),
    )


def scorecard(rows: Rows, directory: Directory, asked: AskScorecard) -> Scorecard:
    """How an agent's work held up, by process and by version of its instructions."""
    newest = rows.select(activity.Row, "who = ? AND kind = 'execution'", (asked.agent,), "until DESC", PAGE + 1)
    executions = {row.key: row for row in newest[:PAGE]}
    processes = _processes(rows, [row.work or "" for row in executions.values()])
    counts: dict[tuple[str | None, str | None], Counter[str]] = {}
    for row in executions.values():
        process = processes.get(row.work or "")
        if asked.process is None or process == asked.process:
            ran = row.ran or activity.Ran()
            told = counts.setdefault((process, ran.instructions_dig), Counter())
            told.update(executions=1, ended=ran.result is not None, failed=ran.result in ("failed", "aborted"))
    for work in sorted({row.work or "" for row in executions.values()}):
        for made in rows.select(controls.Row, "key BETWEEN ? AND ?", (f"{work}/o/", f"{work}/o/~")):
            of = executions.get(made.execution or "")
            dig = of.ran.instructions_dig if of is not None and of.ran is not None else None
            score = counts.get((processes.get(work), dig)) if of is not None else None
            if score is None:
                continue
            score.update(
                outputs=1,
                reviewed=made.verdicts > 0,
                passed=made.first == "approved",
                overridden=made.edited + made.sent_back > 0,
                sent_back=made.sent_back,
            )
    scores = tuple(_score(process, dig, told) for (process, dig), told in sorted(counts.items(), key=str))
    return Scorecard(agent=asked.agent, position=rows.position, scores=scores, complete=len(newest) <= PAGE)


_AT_ONCE: Final = 500
_PAGES_READ: Final = 20
"""How many pages are read for the few outputs among them that are looked for; `next` goes on from there."""

_RELEASED: Final[dict[str | None, str]] = {
    "released unreviewed": "unreviewed",
    "waived": "waived",
    "not drawn": "not drawn",
}


def _described(rows: Rows, directory: Directory, page: Sequence[controls.Row]) -> list[Controlled]:
    executions = sorted({row.execution for row in page if row.execution is not None})
    made_by = {row.key: row.who for row in rows.select(activity.Row, f"key IN ({marks(executions)})", executions)}
    processes = _processes(rows, [row.work for row in page])
    return [
        _controlled(row, directory, made_by.get(row.execution or "") or row.produced_by, processes.get(row.work))
        for row in page
    ]


def _controlled(row: controls.Row, directory: Directory, executor: str | None, process: str | None) -> Controlled:
    policy = directory.policy(row.policy.id, row.policy.version) if row.policy is not None else None
    rules = policy.rules.review if policy is not None else None
    seconds_min = rules.seconds_min if rules is not None and rules.seconds_min else None
    said: tuple[tuple[Flag, bool], ...] = (
        ("released unreviewed", row.released == "unreviewed"),
        ("self-reviewed", row.reviewer is not None and row.reviewer == executor),
        ("waived", row.released == "waived"),
        ("not drawn", row.released == "not drawn"),
        (
            "rubber-stamp suspected",
            seconds_min is not None
            and row.seconds_spent is not None
            and row.seconds_spent < seconds_min
            and row.last == "approved",
        ),
    )
    shown = {name: getattr(row, name) for name in _SHOWN}
    return Controlled(flags=tuple(flag for flag, holds in said if holds), process=process, executor=executor,
                      seconds_min=seconds_min, **shown)  # fmt: skip


_SHOWN: Final = tuple(set(Controlled.__struct_fields__) & set(controls.Row.__struct_fields__) - {"process", "executor"})


def _coverage(rows: Rows, directory: Directory, id: str, looked: timeline.Row | None, at: datetime | None) -> Coverage:
    asof = AsOf(position=rows.position)
    published = directory.process(id, asof=asof)
    assert published is not None
    owner = directory.successor(published.owner, asof)
    review = _rules(directory, published.review_policy, "review")
    escalation = _rules(directory, published.escalation_policy, "escalation")
    ladder = [
        directory.persons(target) for rung in (escalation.ladder if escalation else ()) for target in rung.targets
    ]
    at_work = [
        deployment
        for who in directory.participants.values()
        for deployment in who.deployments
        if deployment.until is None and deployment.said.process_id == id
    ]
    there = {
        "owner": owner is not None,
        "reviewer": review is not None and review.reviewers_required > 0,
        "escalation path": any(ladder),
        "heartbeat": all(deployment.said.heartbeat is not None for deployment in at_work),
        "retention": published.retention is not None,
        "last human look": looked is not None,
    }
    return Coverage(
        process=id,
        version=published.version,
        open=rows.count(board.Row, f"process = ? AND {OPEN}", (id, *FINISHED)),
        covered=sum(there.values()) / len(there),
        holes=tuple(name for name, is_there in there.items() if not is_there),
        owner=owner,
        reviewers=review.reviewers_required if review is not None else 0,
        ladder=tuple(dict.fromkeys(person for persons in ladder for person in persons)),
        agents=tuple(dict.fromkeys(deployment.agent for deployment in at_work)),
        retention=published.retention is not None,
        looked_at=looked.time if looked is not None else None,
        looked_by=looked.actor if looked is not None else None,
        days_since=_days(looked.time, at) if looked is not None else None,
    )


def _rules(directory: Directory, pinned: Pinned | None, kind: str) -> Any:
    policy = directory.policy(pinned.id, pinned.version) if pinned is not None else None
    return getattr(policy.rules, kind) if policy is not None else None


def _looks(
    rows: Rows, directory: Directory, wanted: set[str], of: Callable[[board.Row], str | None]
) -> dict[str, timeline.Row]:
    """The last look of a human at the work of each of these, among the newest events by which somebody looks."""
    found: dict[str, timeline.Row] = {}
    for type in _LOOKING:
        before, missing = rows.position + 1, set(wanted)
        for _ in range(_PAGES_READ):
            if not missing:
                break
            page = rows.select(timeline.Row, "type = ? AND position < ?", (type, before), "position DESC", _AT_ONCE)
            works = sorted({row.id for row in page})
            items = {row.key: row for row in rows.select(board.Row, f"key IN ({marks(works)})", works)}
            for row in page:
                item = items.get(row.id)
                name = of(item) if item is not None else None
                if name in missing and directory.kind(row.actor or "") == "human":
                    missing.discard(name)
                    if name not in found or found[name].time < row.time:
                        found[name] = row
            if len(page) < _AT_ONCE:
                break
            before = page[-1].position
    return found


_LOOKING: Final = (WorkReviewed.type, DecisionMade.type, ExecutionInputProvided.type, ExecutionGuided.type)
"""The events by which somebody has looked at the work."""


def _days(then: datetime | None, at: datetime | None) -> float | None:
    return (at - then).total_seconds() / 86_400 if at is not None and then is not None else None


def _processes(rows: Rows, works: Sequence[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    wanted = sorted(set(works))
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        found.update((row.key, row.process) for row in rows.select(controls.Row, f"key IN ({marks(some)})", some))
    return found


def _score(process: str | None, dig: str | None, told: Counter[str]) -> Score:
    reviewed, ended = told["reviewed"], told["ended"]
    return Score(
        process=process,
        instructions_dig=dig,
        executions=told["executions"],
        ended=ended,
        outputs=told["outputs"],
        reviewed=reviewed,
        first_pass=told["passed"] / reviewed if reviewed else None,
        override=told["overridden"] / reviewed if reviewed else None,
        rework=told["sent_back"] / reviewed if reviewed else None,
        error=told["failed"] / ended if ended else None,
    )
