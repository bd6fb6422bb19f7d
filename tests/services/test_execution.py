"""Execution: starting, asking and being answered, handing in; and what an agent's help does not change."""

from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attorn.contracts.context import AddNote
from attorn.contracts.decision import Option
from attorn.contracts.delegation import Condition, DelegateWork
from attorn.contracts.execution import (
    AdaptExecution,
    ExecuteWork,
    ExecutionActionRecorded,
    ExecutionAdapted,
    ExecutionGuided,
    ExecutionInputProvided,
    ExecutionInputRequired,
    ExecutionStarted,
    GuideExecution,
    ProgressExecution,
    ProvideInput,
    RecordAction,
    RequireInput,
    StartExecution,
    WorkExecuted,
)
from attorn.contracts.ids import Ref
from attorn.contracts.output import Output, OutputProduced
from attorn.contracts.participant import AddTeamMember, DeactivateParticipant
from attorn.contracts.policy import PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import ProcessPublished, PublishProcess, Raci, Step
from attorn.contracts.review import ReviewRequested
from attorn.contracts.work import AssignWork, CompleteWork, DefineWork, Method, Scope, VerifyWork
from story import Story

W: Final = {"work_id": "W-1"}
DIG: Final = "sha256:" + "a" * 64
OTHER: Final = "sha256:" + "b" * 64
OUTPUT: Final = Output(output_id="O-1", dig=DIG)


def running() -> Story:
    """bot carries out E-1 for Ana."""
    return (
        Story()
        .given(DefineWork(**W, title="Refund", accountable="ana", method=Method(instructions=Ref(uri="x", dig=OTHER))))
        .given(DelegateWork(**W, delegation_id="D-1", delegate="bot", instructions=Ref(uri="x", dig=DIG)))
        .given(StartExecution(**W, execution_id="E-1"), by="bot")
    )


def ask(request: str, from_: str = "ana", question: str = "Which order?") -> RequireInput:
    return RequireInput(**W, execution_id="E-1", request_id=request, from_=from_, question=question)


def answer(request: str, said: Any = "the first") -> ProvideInput:
    return ProvideInput(**W, request_id=request, response="respond", answer=said)


def execute(result: Any = "completed", *outputs: Output, id: str = "E-1") -> ExecuteWork:
    return ExecuteWork(**W, execution_id=id, result=result, outputs=outputs)


def under_review(**rules: Any) -> Story:
    policy = PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules(**rules)))
    return Story().given(
        policy,
        DefineWork(**W, title="Refund", accountable="ana", review_policy="check"),
        StartExecution(**W, execution_id="E-1"),
    )


def test_what_was_given_to_somebody_is_taken_up_by_them_or_by_who_has_authority() -> None:
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), AssignWork(**W, executor="ben"))
    start = StartExecution(**W, execution_id="E-1")
    story.when(start, by="carla").refused_only("executor-only")
    story.fact(ExecutionStarted(execution_id="E-0", executor="carla")).finds_only("executor-only")
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), AssignWork(**W, executor="ben"))
    story.when(StartExecution(**W, execution_id="E-1", executor="carla"), by="ana").then(ExecutionStarted)
    # Where somebody is at it, one more may join.
    story.when(StartExecution(**W, execution_id="E-2"), by="ben").then(ExecutionStarted)


def test_a_team_that_has_it_is_each_of_its_members_and_nobody_else() -> None:
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), AssignWork(**W, executor="crew"))
    story.given(AddTeamMember(team_id="crew", member="carla"))
    start = StartExecution(**W, execution_id="E-1")
    story.when(start, by="ben").refused_only("executor-only")
    story.when(start, by="carla").then(ExecutionStarted)


def test_whom_it_was_delegated_to_begins_what_another_has_and_an_agent_does_not_without_that() -> None:
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), AssignWork(**W, executor="ben"))
    start = StartExecution(**W, execution_id="E-1")
    story.when(start, by="bot").refused_only("undelegated-execution")
    story.given(DelegateWork(**W, delegation_id="D-1", delegate="carla"))
    story.when(start, by="carla").then(ExecutionStarted)


def test_nobody_takes_over_what_another_carries_out_by_its_id() -> None:
    story = running()
    story.fact(ExecutionStarted(execution_id="E-1", executor="scout", delegation_id="D-1")).finds("execution-unknown")
    assert story.state().executions["E-1"].executor == story.state().executor == "bot"


def test_what_is_said_of_a_running_execution_keeps_nobody_from_going_on() -> None:
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), AssignWork(**W, executor="ben"))
    story.given(StartExecution(**W, execution_id="E-1"), by="ben")
    told = ExecutionStarted(execution_id="E-1", executor="carla", claim_id="C-9", fence=1)
    story.fact(told).finds("execution-unknown")
    story.given(execute("aborted"), by="ben")
    story.when(StartExecution(**W, execution_id="E-2"), by="ben").then(ExecutionStarted)


def test_after_an_abort_a_team_has_its_work_still() -> None:
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), AssignWork(**W, executor="crew"))
    story.given(AddTeamMember(team_id="crew", member="ben"), AddTeamMember(team_id="crew", member="carla"))
    story.given(StartExecution(**W, execution_id="E-1"), execute("aborted"), by="ben")
    story.when(StartExecution(**W, execution_id="E-2"), by="carla").then(ExecutionStarted)


def test_an_execution_names_the_instructions_that_it_runs_under() -> None:
    started = running().log()[-1].event.data
    assert (started.instructions_dig, started.attempt) == (DIG, 1)


def test_who_starts_without_a_delegation_follows_the_instructions_of_the_work() -> None:
    story = running().given(execute("aborted"), by="bot")
    story.when(StartExecution(**W, execution_id="E-2"), by="ana").then(
        ExecutionStarted(execution_id="E-2", executor="ana", attempt=2, instructions_dig=OTHER)
    )


def test_an_execution_that_is_over_is_over() -> None:
    story = running().given(execute("failed"), by="bot")
    story.when(ProgressExecution(**W, execution_id="E-1"), by="bot").refused_only("execution-unknown")
    story.when(execute("completed"), by="bot").refused_only("execution-unknown")
    story.when(StartExecution(**W, execution_id="E-1"), by="bot").refused_only("execution-unknown")
    story.when(StartExecution(**W, execution_id="E-2"), by="bot").then(ExecutionStarted)


def test_three_questions_at_once_each_get_their_own_answer() -> None:
    story = running().given(ask("Q-1"), ask("Q-2"), ask("Q-3"), by="bot")
    for request in ("Q-2", "Q-3", "Q-1"):
        assert story.state().life.state == "waiting_input"
        story.when(answer(request, said=f"to {request}")).then(
            ExecutionInputProvided(
                request_id=request, response="respond", answer=f"to {request}", execution_id="E-1", by="ana"
            )
        )
    assert story.state().life.state == "in_progress"
    assert {id: q.answered.answer for id, q in story.state().questions.items()} == {
        id: f"to {id}" for id in ("Q-1", "Q-2", "Q-3")
    }


def test_a_question_is_answered_once_and_the_first_answer_stands() -> None:
    story = running().given(ask("Q-1"), ask("Q-2"), by="bot").given(answer("Q-1"))
    story.when(answer("Q-1", said="another")).refused_only("input-unasked")
    story.fact(ExecutionInputProvided(request_id="Q-1", response="respond", answer="another")).finds_only(
        "input-unasked"
    )
    assert story.state().questions["Q-1"].answered.answer == "the first"
    story.when(ask("Q-1", question="Which account?"), by="bot").refused_only("input-unasked")


@pytest.mark.parametrize("by", ["bot", "scout", "carla"])
def test_nobody_answers_for_who_was_asked(by: str) -> None:
    running().given(ask("Q-1"), by="bot").when(answer("Q-1"), by=by).refused_only("input-unasked")


def test_who_answers_for_the_work_may_answer_what_another_was_asked() -> None:
    running().given(ask("Q-1", from_="ben"), by="bot").when(answer("Q-1"), by="ana").then(ExecutionInputProvided)


def test_the_holder_of_a_role_answers_what_the_role_was_asked() -> None:
    story = running().granted("ben", "reviewer").given(ask("Q-1", from_="reviewer"), by="bot")
    story.when(answer("Q-1"), by="carla").refused_only("input-unasked")
    story.when(answer("Q-1"), by="ben").then(ExecutionInputProvided)


def test_the_successor_answers_what_a_leaver_was_asked() -> None:
    story = running().given(ask("Q-1", from_="ben"), by="bot")
    story.given(DeactivateParticipant(participant_id="ben", successor="carla"))
    story.when(answer("Q-1"), by="carla").then(ExecutionInputProvided)


def test_work_that_waits_is_not_handed_in_and_can_be_broken_off() -> None:
    story = running().given(ask("Q-1"), by="bot")
    story.when(execute("completed"), by="bot").refused_only("illegal-transition")
    story.when(execute("aborted"), by="bot").then(WorkExecuted)
    assert story.state().life.state == "claimed"


def test_asking_is_for_who_works() -> None:
    running().when(ask("Q-1"), by="scout").refused_only("undelegated-execution")
    assert running().when(ask("Q-1"), by="bot").then(ExecutionInputRequired)


# ---- the review that the policy asks for


def test_the_pinned_policy_asks_for_the_review_of_every_output() -> None:
    story = under_review(reviewers_required=2, excluded=("carla",), candidates=("ana", "ben", "carla", "reviewer"))
    story.granted("root", "reviewer")
    story.when(execute("completed", OUTPUT)).then(WorkExecuted, ReviewRequested)
    request = story.log()[-1].event.data

    assert (request.review_id, request.output_dig, request.required) == ("E-1-R1", DIG, 2)
    assert (request.candidates, request.excluded) == (("ben", "root"), ("ana", "carla"))
    assert story.state().life.state == "in_review"


def test_a_policy_that_wants_no_reviewers_asks_for_none_and_holds_nothing_back() -> None:
    story = under_review(reviewers_required=0)
    story.when(execute("completed", OUTPUT)).then(WorkExecuted)
    story.given(VerifyWork(**W), CompleteWork(**W))


def test_what_a_failed_execution_or_a_draft_left_behind_holds_no_result_back() -> None:
    story = under_review()
    story.given(execute("failed", Output(output_id="O-9", dig=OTHER)))
    story.given(OutputProduced(output=Output(output_id="O-8", dig=OTHER), execution_id="E-2"))
    story.given(StartExecution(**W, execution_id="E-2"), execute("completed", id="E-2"))
    story.given(VerifyWork(**W), CompleteWork(**W))


# ---- help


ASSISTS: Final = st.lists(
    st.one_of(
        st.builds(RecordAction, work_id=st.just("W-1"), execution_id=st.just("E-1"), assist=st.just(True),
                  tool=st.sampled_from(("look", "draft"))),
        st.builds(ProgressExecution, work_id=st.just("W-1"), execution_id=st.just("E-1")),
        st.builds(AddNote, work_id=st.just("W-1"), text=st.just("x")),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(ASSISTS, st.sampled_from(("ana", "bot", "ben", "crew")))
def test_help_changes_neither_who_executes_nor_who_answers(steps: list[Any], by: str) -> None:
    story = Story().given(
        DefineWork(**W, title="Refund", accountable="ana"), StartExecution(**W, execution_id="E-1", executor="ben")
    )
    for step in steps:
        story.when(step, by=by)

    assert (story.state().executor, story.answers()) == ("ben", "ana")


# ---- on the way


def test_whoever_is_here_may_guide_and_the_executor_alone_adapts() -> None:
    story = running()
    story.when(GuideExecution(**W, execution_id="E-1", text="Use the new tariff."), by="ben").then(
        ExecutionGuided(execution_id="E-1", text="Use the new tariff.", by="ben")
    )
    adapt = AdaptExecution(**W, execution_id="E-1", reason="two tariffs", before=("look",), after=("look", "ask"))
    story.when(adapt, by="scout").refused_only("undelegated-execution")
    story.when(adapt, by="bot").then(
        ExecutionAdapted(execution_id="E-1", reason="two tariffs", before=("look",), after=("look", "ask"))
    )
    assert story.state().executor == "bot"


def test_nobody_guides_or_adapts_what_is_over() -> None:
    story = running().given(execute("failed"), by="bot")
    for command in (
        GuideExecution(**W, execution_id="E-1", text="Go on."),
        AdaptExecution(**W, execution_id="E-1", reason="late"),
    ):
        story.when(command, by="bot").refused_only("execution-unknown")
    story.fact(ExecutionGuided(execution_id="E-1", text="Go on.")).finds_only("execution-unknown")
    story.fact(ExecutionAdapted(execution_id="E-1", reason="late")).finds_only("execution-unknown")


def test_an_answer_is_given_in_the_execution_that_asked() -> None:
    story = running().given(ask("Q-1"), by="bot")
    crossed = ExecutionInputProvided(request_id="Q-1", response="respond", answer="x", execution_id="E-2")
    story.fact(crossed).finds_only("input-unasked")


@pytest.mark.parametrize("by", ["bot", "ana"])
def test_what_the_scope_excludes_is_not_done_by_anybody(by: str) -> None:
    story = Story().given(
        DefineWork(**W, title="Refund", accountable="ana", scope=Scope(excluded=("accounts/*", "close_account")))
    )
    story.given(DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act"))
    story.given(StartExecution(**W, execution_id="E-1"), by=by)
    for said in ({"tool": "pay", "target": "accounts/7"}, {"tool": "close_account"}):
        story.when(RecordAction(**W, execution_id="E-1", **said), by=by).refused_only("scope-exceeded")
        story.fact(ExecutionActionRecorded(execution_id="E-1", action_id="A-1", **said)).finds_only("scope-exceeded")


# ---- the version that it runs under

STEPS: Final = (Step(step_id="decide", name="Decide", instructions=Ref(uri="how", dig=DIG), raci=Raci(A="ana")),)


def of_a_process(**published: Any) -> Story:
    """W-1 is under version 1 of refunds; version 2 has been published since."""
    publish = PublishProcess(process_id="refunds", owner="ana", purpose="Money back")
    story = Story().given(publish, DefineWork(**W, title="Refund", accountable="ana", process="refunds"))
    again = PublishProcess(process_id="refunds", owner="ana", purpose="Money back, faster", **published)
    return story.given(again)


def test_an_execution_names_the_version_that_it_runs_under() -> None:
    story = of_a_process()
    story.when(StartExecution(**W, execution_id="E-1")).then(ExecutionStarted)
    assert story.log()[-1].event.data.process_version == 1
    other = of_a_process()
    other.fact(ExecutionStarted(execution_id="E-1", executor="ana")).finds_only("version-unnamed")


def test_what_was_begun_under_a_version_is_finished_under_it() -> None:
    of_a_process().later(days=400).fact(
        ExecutionStarted(execution_id="E-1", executor="ana", process_version=1)
    ).finds_nothing()


def test_after_its_grace_an_old_version_is_drift_for_everybody_who_starts_under_it() -> None:
    story = of_a_process(grace=timedelta(days=1))
    story.when(StartExecution(**W, execution_id="E-1")).then(ExecutionStarted)
    assert story.findings() == {}
    story.later(days=2).given(execute("failed"))
    story.when(StartExecution(**W, execution_id="E-2")).then(ExecutionStarted)
    assert story.findings() == {story.log()[-1].position: {"drift"}}
    for number in range(3, 9):
        late = ExecutionStarted(execution_id=f"E-{number}", executor="ben", process_version=1)
        story.fact(late).finds_only("drift")
    story.fact(ExecutionStarted(execution_id="E-9", executor="ben", process_version=2)).finds_nothing()


def test_instructions_are_named_and_are_those_that_stand() -> None:
    story = running()
    unsaid = ExecutionStarted(execution_id="E-2", executor="bot", delegation_id="D-1")
    story.fact(unsaid).finds_only("version-unnamed")
    other = ExecutionStarted(execution_id="E-3", executor="bot", delegation_id="D-1", instructions_dig=OTHER)
    story.fact(other).finds_only("drift")
    story.when(StartExecution(**W, execution_id="E-4", instructions_dig=OTHER), by="bot").then(ExecutionStarted)
    assert "drift" in story.findings()[story.log()[-1].position]


def test_without_any_others_the_instructions_of_the_step_stand() -> None:
    story = Story()
    story.fact(ProcessPublished(version=1, owner="ana", steps=STEPS), on="process/refunds")
    story.given(DefineWork(**W, title="Refund", accountable="ana", process="refunds"))
    story.given(StartExecution(**W, execution_id="E-1", step_id="decide"))
    assert story.log()[-1].event.data.instructions_dig == DIG


# ---- an answer that fits


def asked_for(**said: Any) -> Story:
    """bot has asked Ana Q-1, in which it is said what may be answered."""
    return running().given(msgspec.structs.replace(ask("Q-1"), **said), by="bot")


TWO: Final = {"options": (Option(id="first", label="The first"), Option(id="last", label="The last"))}
AMOUNT: Final = {"schema": {"type": "object", "required": ["amount"], "properties": {"amount": {"maximum": 200}}}}


@pytest.mark.parametrize(
    ("allowed", "fits", "unfit"),
    [(TWO, "last", "second"), (TWO, "first", ["first"]), (TWO, "first", None),
     (AMOUNT, {"amount": 120}, {"amount": 900}), (AMOUNT, {"amount": 0}, {}), (AMOUNT, {"amount": 1}, "120")],
)  # fmt: skip
def test_an_answer_is_an_option_of_its_question_and_what_its_schema_says(
    allowed: dict[str, Any], fits: Any, unfit: Any
) -> None:
    asked_for(**allowed).when(answer("Q-1", unfit)).refused_only("input-unfit")
    told = ExecutionInputProvided(request_id="Q-1", response="respond", answer=unfit, execution_id="E-1", by="ana")
    asked_for(**allowed).fact(told).finds_only("input-unfit")
    asked_for(**allowed).when(answer("Q-1", fits)).then(ExecutionInputProvided)


def test_whoever_declines_a_question_or_just_says_yes_owes_it_no_answer() -> None:
    for response in ("decline", "ignore", "accept"):
        said = ProvideInput(**W, request_id="Q-1", response=response)  # type: ignore[arg-type]
        asked_for(**TWO, **AMOUNT).when(said).then(ExecutionInputProvided)


def test_a_question_whose_schema_cannot_be_held_against_anything_is_not_asked() -> None:
    bad = {"type": "nothing"}
    running().when(msgspec.structs.replace(ask("Q-1"), schema=bad), by="bot").refused_only("condition-unsound")
    asked = ExecutionInputRequired(execution_id="E-1", request_id="Q-1", from_="ana", question="?", schema=bad)
    running().fact(asked).finds_only("condition-unsound")
    endless = {"$ref": "#"}
    asked_for(schema=endless).when(answer("Q-1")).refused_only("input-unfit")


def test_what_holds_nothing_up_is_among_the_warnings_of_the_receipt() -> None:
    watched = Condition(id="c1", expr="action.tool == 'look'", on_violation="flag")
    story = Story().given(
        DefineWork(**W, title="Refund", accountable="ana"),
        DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act", conditions=(watched,)),
    )
    story.given(StartExecution(**W, execution_id="E-1"), by="bot")
    done = story.when(RecordAction(**W, execution_id="E-1", tool="pay"), by="bot")
    assert done.receipt is not None
    assert [breach.rule for breach in done.receipt.warnings] == ["condition-flagged"]
    assert "condition-flagged" in story.findings()[done.receipt.position]
    plain = story.when(RecordAction(**W, execution_id="E-1", tool="look"), by="bot").receipt
    assert plain is not None and plain.warnings == ()
