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
    Rule("owner-human", "I2", "A process has a person who owns it, and so has an outcome that names an owner."),
    Rule("custodian-human", "I2", "A source has a person as its custodian."),
    Rule("team-member", "I2", "A team is made of people and agents, and of teams that are not made of it."),
    Rule("step-accountable", "I2", "Every step of a process names one who answers for it, and leads to a person."),
    Rule(
        "delegation-chain",
        "I3",
        "A delegation leads from a person, or a live delegation that may be passed on, to one who acts.",
    ),
    Rule("delegation-open", "I3", "A delegation is accepted, declined or revoked while it is open, by who may."),
    Rule("undelegated-execution", "I3", "An agent works under a live delegation."),
    Rule("delegation-violated", "I3", "What is done under a delegation is within it."),
    Rule("condition-flagged", "I3", "What is done meets also the conditions that do not hold it up."),
    Rule("condition-unsound", "I3", "A condition can be read, and is about something that happens."),
    Rule("approval-missing", "I3", "Who acts with approval has it before something is changed."),
    Rule("escalation-due", "I8", "Somebody is asked when a delegation says that they have to be."),
    Rule("scope-exceeded", "", "What is done stays within the scope of the work."),
    Rule("claim-held", "I4", "What somebody has claimed is nobody else's until they let go or the lease is over."),
    Rule("claim-open", "I4", "A claim is renewed, released or revoked while it is live, by who may."),
    Rule("claim-fence", "I4", "The fence of a claim is higher than every fence before it on the same key."),
    Rule("stale-fence", "I4", "What is done under a claim is done while it is live, with the newest fence."),
    Rule("sponsor-human", "I5", "Every agent and every system has a person as its sponsor."),
    Rule("successor-human", "I5", "Who leaves names a person who is here as successor."),
    Rule("registered-once", "I5", "A participant is registered once, and leaves once."),
    Rule("manager-human", "I5", "Whom somebody reports to leads, without a cycle, to a person who is here."),
    Rule("participant-authority", "I5", "Only who is over somebody takes them out of their place; or they themselves."),
    Rule("role-authority", "I5", "The custodian of the ledger and its admins say who holds which role."),
    Rule("work-left", "I1", "Nobody leaves open work behind: a successor, or somebody before, answers for it."),
    Rule("source-authority", "I5", "What a system says of people, processes and policies, it was given the word for."),
    Rule("absence-covered", "I5", "Who is away names one other person who is here to stand in, and until when."),
    Rule(
        "actor-suspended",
        "I5",
        "Who is suspended only stops, or asks for help, and is given nothing, until somebody else resumes them.",
    ),
    Rule("key-known", "I5", "A key is registered once, and revoked once after that."),
    Rule("attestation-own", "I5", "A person vouches in their own name, for something that there is."),
    Rule("self-review", "I6", "Nobody reviews what they made themselves."),
    Rule("reviewer-excluded", "I6", "Who is excluded from a review, or was not asked for it, gives no verdict."),
    Rule("reviewer-human", "I6", "A person reviews where the policy says so."),
    Rule("review-digest", "I6", "A verdict is about the output as it is: it names its digest."),
    Rule("review-policy", "I6", "A review is asked for, and answered, under the version of the policy that is pinned."),
    Rule("review-open", "I6", "A verdict answers a review that was asked for and is open."),
    Rule("review-claimed", "I6", "Who looks at an output has taken up the review, or leaves it to those who have."),
    Rule("rubber-stamp-suspected", "I6", "Consent comes after a look, as long as the policy says that one takes."),
    Rule("reviewer-overload", "", "Nobody is asked for more reviews than they have room for."),
    Rule("review-sampling", "I7", "What a sample spares is drawn from a recorded seed, so that it can be drawn again."),
    Rule("control-bypassed", "I7", "An output goes out only when its review policy is met."),
    Rule("output-unsound", "I7", "An output goes out only when what it was declared to be has been found in it."),
    Rule("check-claimed", "I7", "A check names what was checked; what this service checks, it says itself."),
    Rule("context-missing", "I8", "An escalation says what happened, and what has to be decided."),
    Rule("escalation-asked", "I8", "Who acts on an escalation was asked to, or has authority over the work."),
    Rule("escalation-rung", "I8", "An escalation goes up its own ladder, a rung at a time."),
    Rule("escalation-deadline", "I8", "An open escalation has a next deadline, ahead of it."),
    Rule("escalation-option", "I8", "An answer says something, and chooses among the options that there are."),
    Rule("resolver-missing", "I8", "Whoever settles an escalation is named."),
    Rule("ladder-human", "I8", "The last rung of every escalation ladder is a person."),
    Rule(
        "escalation-open", "I8", "An escalation is acted on from when it is raised until it is resolved or cancelled."
    ),
    Rule("conflict", "I11", "A source uses an id once: the same id means the same bytes."),
    Rule("criteria-open", "I15", "Completed work has a verdict on every criterion, and nothing in it is open."),
    Rule("not-ready", "I15", "Work is taken up when it meets its process's definition of ready."),
    Rule("dependency-open", "I15", "Work goes on when nothing that it waits for is left."),
    Rule("relation-cycle", "I15", "No work is a part of itself, waits for itself or replaces itself, even by others."),
    Rule("version-unnamed", "I9", "An execution names the version and the instructions that it runs under."),
    Rule("drift", "I9", "Nobody works by a version of a process, or by instructions, that are no longer in force."),
    Rule("unpublished", "I9", "A process or a policy that is named is published."),
    Rule("version-increasing", "I9", "Every version that is published is higher than those before it."),
    Rule("deployment-process", "I9", "An agent works in a process that is mapped, published and not retired."),
    Rule("controls-missing", "I7", "A process names who is asked when work is stuck; of high risk, also who reviews."),
    Rule("collaboration-unsaid", "I7", "A process with a step for AI says how people and AI work together in it."),
    Rule("autonomy-unrecoverable", "I7", "Where a failure cannot be undone, AI acts only with approval."),
    Rule("deployment-controls", "I7", "An agent at work has a sponsor, a heartbeat, and somebody to ask when stuck."),
    Rule("capability-missing", "I7", "An agent is able to do what its steps need."),
    Rule("unmanaged-agent", "I7", "An agent at work has a plan of oversight, and somebody who manages agents there."),
    Rule("architect-only", "", "Once there is a workflow architect, only one publishes or retires a process."),
    Rule("process-unsound", "", "Every step of a process has an id of its own and leads to steps that there are."),
    Rule("policy-unsound", "", "A policy keeps its kind, and can be followed as it is written."),
    Rule("outcome-once", "", "An outcome is defined once, before anything else is said of it."),
    Rule("service-review-open", "", "A service review is opened once, held while it is open, and closed once."),
    Rule("unregistered-actor", "", "Everybody named in an event is registered, and is here."),
    Rule("misplaced-event", "", "What is said of one kind of thing is said in a stream of that kind."),
    Rule("illegal-transition", "", "Work moves from state to state as the state machine says."),
    Rule("executor-only", "", "Only who is to carry the work out takes it up, or declines it."),
    Rule("work-authority", "", "Only who is over work, at it or named in it moves it; each as far as that goes."),
    Rule("handover-open", "", "A handover is offered by who may, and answered in time by whom it was offered to."),
    Rule("deadline-past", "", "A time by which something is due, or over, lies ahead when it is set."),
    Rule("duplicate-effort", "", "Nothing is done twice: not the same work, and not the same change."),
    Rule("finding-decided", "", "What becomes of a finding is decided by a person, who says why."),
    Rule("input-unasked", "", "An answer names an open question."),
    Rule("input-unfit", "", "An answer is one of the options of its question, and what its schema says."),
    Rule("recommendation-open", "", "A recommendation is made once, and taken, or turned down for a reason, once."),
    Rule("decision-open", "", "A decision is asked for once, and made once, among the options that there are."),
    Rule("decision-authority", "", "Who decides is a person with the authority to decide this."),
    Rule("execution-unknown", "", "What happens in an execution names one that has started."),
)

RULES: Final = {rule.code: rule for rule in _ALL}

OBSERVED: Final = frozenset({"condition-flagged", "escalation-due", "drift"})
"""What is recorded at the command door as well, and found: somebody looks at it, and nothing waits for that."""
