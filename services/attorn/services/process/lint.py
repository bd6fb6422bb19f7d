"""What is wrong with a process as it is written, and what is missing in it, before anybody works by it.

What has a rule is refused when the process is published; the rest is advice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from attorn.contracts.process import Collaboration, ProcessPublished, PublishProcess, Step
from attorn.contracts.refusal import Breach

_ACTING = ("act_then_review", "act")
"""The modes in which AI acts before a person has agreed."""

BREACHES_MAX: Final = 100
"""How many flaws a refusal names: an answer that grows with the question would not fit into a message."""

NAMED_MAX: Final = 8


class Flaw(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong or missing: what, in which field; `breach` where it is refused at a publication."""

    code: str
    detail: str
    field: str
    breach: Breach | None = None

    @property
    def rule(self) -> str | None:
        """The rule by which it is refused, if by any."""
        return self.breach.rule if self.breach is not None else None


def lint(process: PublishProcess | ProcessPublished, *, has_owner: bool = True) -> tuple[Flaw, ...]:
    """Everything that can be said against `process` without knowing who there is.

    `has_owner` is false for a draft that names none. Whether names lead to people is seen when it is published.
    """
    return (*_missing(process, has_owner), *flow(process.steps), *_people(process), *_ai(process))


def breaches(process: ProcessPublished) -> Iterator[Breach]:
    """The flaws for which a publication is refused."""
    return islice((flaw.breach for flaw in lint(process) if flaw.breach is not None), BREACHES_MAX)


def flow(steps: Sequence[Step]) -> Iterator[Flaw]:
    """Whether one gets from the first step to an end by every step."""
    ids = [step.step_id for step in steps]
    known = Counter(ids)
    for twice in sorted(id for id, count in known.items() if count > 1):
        detail = f"two steps are called {twice}; give each an id of its own"
        yield _refused("step-twice", Breach(rule="process-unsound", detail=detail, field="data.steps"))
    for step in steps:
        for unknown in (id for id in step.next if id not in known):
            some = ", ".join(ids[:NAMED_MAX]) + (", …" if len(ids) > NAMED_MAX else "")
            detail = f"step {step.step_id} leads to {unknown}, which is no step; there are {some}"
            field = f"data.{_field(step, 'next')}"
            yield _refused("step-unknown", Breach(rule="process-unsound", detail=detail, field=field))
    if not steps:
        return
    onward = {step.step_id: set(step.next) for step in steps}
    # It is the order of the file that says where a process begins, and where it ends by design.
    backward: dict[str, set[str]] = {id: set() for id in onward}
    for id, next_ in onward.items():
        for each in next_ & onward.keys():
            backward[each].add(id)
    ends = {step.step_id for step in steps if step.may_end} | {ids[-1]}
    reached, ending = _closure({ids[0]}, onward), _closure(ends, backward)
    for step in steps:
        if step.step_id not in reached:
            detail = f"nothing leads from {ids[0]} to step {step.step_id}; name it in another step's next"
            yield Flaw(code="unreachable", detail=detail, field=_field(step, "next"))
        if step.step_id not in ending:
            detail = f"from step {step.step_id} the process never ends; say next, or may_end = true"
            yield Flaw(code="dead-end", detail=detail, field=_field(step, "next"))


def _missing(process: PublishProcess | ProcessPublished, has_owner: bool) -> Iterator[Flaw]:
    if not has_owner:
        breach = Breach(rule="owner-human", detail="nobody owns it; name a person", field="data.owner")
        yield _refused("missing-owner", breach)
    if not process.purpose:
        yield Flaw(code="missing-purpose", detail="it does not say what it is for", field="purpose")
    for field in ("entry_criteria", "exit_criteria"):
        if not getattr(process, field):
            when = "begin" if field == "entry_criteria" else "be over"
            yield Flaw(code=f"missing-{field.replace('_', '-')}", field=field,
                       detail=f"it does not say what has to be so for it to {when}")  # fmt: skip
    if not process.steps:
        yield Flaw(code="no-steps", detail="it has no steps; say how the work flows", field="steps")
    high = process.risk_tier == "high"
    if process.review_policy is None and high:
        detail = "its risk is high, and it does not say who reviews; name its review_policy"
        breach = Breach(rule="controls-missing", detail=detail, field="data.review_policy")
        yield _refused("missing-review", breach)
    if process.escalation_policy is None:
        # A process that describes no steps is a drawer for work; one that does has places where work gets stuck.
        detail = "it does not say who is asked when work is stuck; name its escalation_policy"
        breach = Breach(rule="controls-missing", detail=detail, field="data.escalation_policy")
        flaw = _refused("missing-escalation-path", breach)
        yield flaw if high or process.steps else msgspec.structs.replace(flaw, breach=None)


def _people(process: PublishProcess | ProcessPublished) -> Iterator[Flaw]:
    for step in process.steps:
        if step.raci.A is None:
            detail = f"nobody answers for step {step.step_id}; name one person or role as A"
            field = f"data.{_field(step, 'raci')}"
            yield _refused("no-answer", Breach(rule="step-accountable", detail=detail, field=field))
        if step.raci.R is None:
            detail = f"nobody carries out step {step.step_id}; name a participant or a role as R"
            yield Flaw(code="no-role", detail=detail, field=_field(step, "raci"))


def _ai(process: PublishProcess | ProcessPublished) -> Iterator[Flaw]:
    with_ai = [step for step in process.steps if step.ai_mode != "none"]
    if not with_ai:
        return
    for name in Collaboration.__struct_fields__:
        if not getattr(process.ai_work, name, "").strip():
            steps = ", ".join(step.step_id for step in with_ai[:NAMED_MAX])
            detail = f"AI takes part in {steps}, and nothing is said of {name}; say it in [ai_work]"
            breach = Breach(rule="collaboration-unsaid", detail=detail, field=f"data.ai_work.{name}")
            yield _refused("collaboration-unsaid", breach)
    for step in with_ai:
        if process.review_policy is None and step.ai_mode != "suggest":
            detail = f"AI acts in step {step.step_id}, and nobody reviews it; name a review_policy"
            yield Flaw(code="ai-unreviewed", detail=detail, field="review_policy")
        if process.recoverable == "no" and step.ai_mode in _ACTING:
            detail = f"what fails in step {step.step_id} cannot be undone; its ai_mode is at most act_with_approval"
            breach = Breach(rule="autonomy-unrecoverable", detail=detail, field=f"data.{_field(step, 'ai_mode')}")
            yield _refused("autonomy-unrecoverable", breach)


def _refused(code: str, breach: Breach) -> Flaw:
    return Flaw(code=code, detail=breach.detail, field=(breach.field or "").removeprefix("data."), breach=breach)


def _closure(start: Iterable[str], leads: dict[str, set[str]]) -> set[str]:
    found, pending = set[str](), list(start)
    while pending:
        id = pending.pop()
        if id not in found and id in leads:
            found.add(id)
            pending += leads[id]
    return found


def _field(step: Step, name: str) -> str:
    return f"steps[{step.step_id}].{name}"
