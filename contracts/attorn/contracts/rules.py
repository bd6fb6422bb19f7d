"""The rules of work that is handed over, as a closed list: a code, the invariant behind it, one sentence.

A rule is checked once, on events: at the command door a breach refuses, at the fact door it is recorded and
becomes a finding. Findings are these checks folded over the log; their id is `<rule>@<position>`.
"""

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """`invariant` is the number in the catalogue of invariants; empty for a finding that stands on its own."""

    code: str
    invariant: str
    sentence: str


_ALL: Final = (
    Rule("accountable-human", "I1", "Who is named to answer for work is a person who is here."),
    Rule("accountability-defaulted", "I1", "Somebody is named to answer for the work, not found by rule."),
    Rule("accountability-chain", "I1", "Only who answers for the work can hand that over, and the taker accepts."),
    Rule("hidden-work", "I1", "Work is defined before anything happens to it."),
    Rule("defined-once", "I1", "A work item is defined once."),
    Rule("owner-human", "I2", "A process has a person who owns it."),
    Rule("custodian-human", "I2", "A source has a person as its custodian."),
    Rule("delegation-chain", "I3", "A delegation starts at a person or at a live delegation that may be passed on."),
    Rule("delegation-open", "I3", "A delegation is accepted, declined or revoked while it is open, by who may."),
    Rule("undelegated-execution", "I3", "An agent works under a live delegation."),
    Rule("delegation-violated", "I3", "What is done under a delegation is within it."),
    Rule("sponsor-human", "I5", "Every agent and every system has a person as its sponsor."),
    Rule("successor-human", "I5", "Who leaves names a person who is here as successor."),
    Rule("registered-once", "I5", "A participant is registered once, and leaves once."),
    Rule("self-review", "I6", "Nobody reviews what they made themselves."),
    Rule("reviewer-excluded", "I6", "Who is excluded from a review does not give its verdict."),
    Rule("reviewer-human", "I6", "A person reviews where the policy says so."),
    Rule("review-digest", "I6", "A verdict is about the output as it is: it names its digest."),
    Rule("review-policy", "I6", "A verdict is given under the version of the policy that is pinned."),
    Rule("review-open", "I6", "A verdict answers a review that was asked for and is open."),
    Rule("control-bypassed", "I7", "An output goes out only when its review policy is met."),
    Rule("ladder-human", "I8", "The last rung of every escalation ladder is a person."),
    Rule(
        "escalation-open", "I8", "An escalation is acted on from when it is raised until it is resolved or cancelled."
    ),
    Rule("conflict", "I11", "A source uses an id once: the same id means the same bytes."),
    Rule("criteria-open", "I15", "Completed work has a verdict on every acceptance criterion."),
    Rule("unpublished", "I9", "A process or a policy that is named is published."),
    Rule("controls-missing", "I7", "A high-risk process names who reviews and who is asked when work is stuck."),
    Rule("unregistered-actor", "", "Everybody named in an event is registered, and is here."),
    Rule("illegal-transition", "", "Work moves from state to state as the state machine says."),
    Rule("input-unasked", "", "An answer names an open question."),
    Rule("execution-unknown", "", "What happens in an execution names one that has started."),
)

RULES: Final = {rule.code: rule for rule in _ALL}
