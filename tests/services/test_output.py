"""Outputs: shown before the end, held against their schema, and kept in when they are not what they were declared."""

import hashlib
import json
import time
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from attorn.contracts.delegation import DelegateWork, ExpectedOutput, WorkDelegated
from attorn.contracts.execution import ExecuteWork, StartExecution, WorkExecuted
from attorn.contracts.output import (
    Output,
    OutputProduced,
    OutputReleased,
    OutputValidated,
    ProduceOutput,
    ReleaseOutput,
    ValidateOutput,
)
from attorn.contracts.policy import PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.review import ReviewInvalidated, ReviewRequested, ReviewWork, WorkReviewed
from attorn.contracts.work import (
    AcceptanceCriterion,
    CancelWork,
    CompleteWork,
    CriterionVerdict,
    DefineWork,
    FailWork,
    SupersedeWork,
    VerifyWork,
    WorkSubmitted,
)
from attorn.services.output import schema
from story import Story

W: Final = {"work_id": "W-1"}
OTHER: Final = "sha256:" + "b" * 64
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["amount"],
    "properties": {"amount": {"type": "number", "maximum": 200}, "currency": {"pattern": "^[A-Z]{3}$"}},
    "additionalProperties": False,
}
GOOD: Final = '{"amount": 120.5, "currency": "EUR"}'
BAD: Final = '{"amount": 900, "currency": "EUR"}'


def dig(content: str) -> str:
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def booking(content: str) -> Output:
    return Output(output_id="O-1", name="booking", dig=dig(content), media_type="application/json")


def handed_in(content: str, json_schema: dict[str, Any] | None = SCHEMA, **terms: Any) -> Story:
    """bot has handed in `content`; the criterion C-1 says of it what `json_schema` says."""
    criterion = AcceptanceCriterion(id="C-1", text="a booking", check="schema", json_schema=json_schema)
    return (
        Story()
        .given(DefineWork(**W, title="Refund", accountable="ana", acceptance_criteria=(criterion,)))
        .given(DelegateWork(**W, delegation_id="D-1", delegate="bot", autonomy="act", **terms))
        .given(StartExecution(**W, execution_id="E-1"), by="bot")
        .given(ExecuteWork(**W, execution_id="E-1", result="completed", outputs=(booking(content),)), by="bot")
    )


def validate(content: str | None = None, **said: Any) -> ValidateOutput:
    return ValidateOutput(**W, output_id="O-1", criterion_id="C-1", content=content, **said)


RELEASE: Final = ReleaseOutput(**W, output_id="O-1")


def test_what_the_schema_says_no_to_is_not_released_and_a_finding_when_it_was() -> None:
    story = handed_in(BAD)
    story.when(validate(BAD), by="bot").then(OutputValidated)
    story.when(RELEASE).refused_only("output-unsound")
    story.fact(OutputReleased(output_id="O-1", output_dig=dig(BAD))).finds_only("output-unsound")


@pytest.mark.parametrize("end", [CancelWork(**W), FailWork(**W), SupersedeWork(**W)], ids=lambda end: end.verb)
def test_what_work_has_made_that_ended_undone_does_not_go_out(end: Any) -> None:
    story = handed_in(GOOD).given(validate(GOOD), end)
    story.when(RELEASE).refused_only("illegal-transition")
    story.fact(OutputReleased(output_id="O-1", output_dig=dig(GOOD))).finds_only("illegal-transition")


def test_what_the_schema_says_yes_to_is_released() -> None:
    story = handed_in(GOOD)
    story.when(validate(GOOD), by="bot").then(OutputValidated)
    story.when(RELEASE).then(OutputReleased)


def test_the_result_says_who_checked_it_where_and_against_what_and_nothing_of_the_content() -> None:
    story = handed_in(BAD).given(validate(BAD), by="bot")
    checked = story.log()[-1].event.data
    assert (checked.result, checked.method, checked.checked, checked.by) == ("failed", "schema", "here", "bot")
    assert (checked.output_dig, checked.schema_dig) == (dig(BAD), schema.digest(SCHEMA))
    assert checked.detail == "$.amount is not as maximum says: 200"
    assert "900" not in story.log()[-1].body.decode()


def test_what_was_declared_is_held_against_it_before_it_goes_out() -> None:
    handed_in(GOOD).when(RELEASE).refused_only("output-unsound")


def test_a_check_is_of_these_bytes() -> None:
    story = handed_in(GOOD)
    story.when(validate(BAD)).refused_only("check-claimed")
    story.when(validate(result="passed", output_dig=OTHER)).refused_only("check-claimed")
    stale = OutputValidated(output_id="O-1", criterion_id="C-1", result="passed", output_dig=OTHER)
    story.fact(stale).finds_only("check-claimed")
    story.when(RELEASE).refused_only("output-unsound")


def test_new_bytes_are_checked_anew() -> None:
    story = handed_in(BAD).given(validate(BAD))
    story.fact(OutputProduced(output=booking(GOOD)))
    story.when(RELEASE).refused_only("output-unsound")
    story.given(validate(GOOD)).when(RELEASE).then(OutputReleased)


def test_nobody_else_says_that_this_service_checked_it() -> None:
    story = handed_in(GOOD)
    claim = OutputValidated(output_id="O-1", criterion_id="C-1", result="passed", method="schema", checked="here")
    story.fact(claim).finds_only("check-claimed")
    story.when(RELEASE).refused_only("output-unsound")


def test_a_result_from_elsewhere_is_its_reporters_word() -> None:
    story = handed_in(GOOD)
    story.when(validate(result="passed", method="schema"), by="ana").then(OutputValidated)
    checked = story.log()[-1].event.data
    assert (checked.checked, checked.by, checked.output_dig) == ("elsewhere", "ana", dig(GOOD))
    story.when(RELEASE).then(OutputReleased)


def test_an_agent_is_no_person_who_looked_and_needs_a_mandate() -> None:
    story = handed_in(GOOD)
    story.when(validate(result="passed", method="human"), by="bot").refused_only("check-claimed")
    story.when(validate(result="passed", method="rule"), by="scout").refused_only("undelegated-execution")
    seen = OutputValidated(output_id="O-1", criterion_id="C-1", result="passed", by="bot")
    story.fact(seen).finds_only("check-claimed")


def test_who_made_it_does_not_vouch_for_it_and_no_word_outdoes_what_was_found() -> None:
    story = handed_in(GOOD).given(validate(result="passed", method="rule"), by="bot")
    story.when(RELEASE).refused_only("output-unsound")
    found = handed_in(BAD).given(validate(BAD))
    found.when(validate(result="passed"), by="ana").refused_only("check-claimed")
    word = OutputValidated(output_id="O-1", criterion_id="C-1", result="passed", output_dig=dig(BAD))
    found.fact(word).finds_only("check-claimed")
    found.when(RELEASE).refused_only("output-unsound")


def test_a_criterion_that_failed_is_not_passed_by_a_word() -> None:
    story = handed_in(BAD).given(validate(BAD))
    passed = (CriterionVerdict(id="C-1", result="passed"),)
    story.when(VerifyWork(**W, criteria=passed)).refused_only("output-unsound")


def test_work_is_not_completed_with_an_unsound_result() -> None:
    story = handed_in(GOOD).given(VerifyWork(**W, criteria=(CriterionVerdict(id="C-1", result="passed"),)))
    story.when(CompleteWork(**W)).refused_only("output-unsound")
    story.given(validate(GOOD)).given(CompleteWork(**W))


def test_what_a_delegation_expects_is_held_against_its_schema_too() -> None:
    expected = ExpectedOutput(name="booking", json_schema=SCHEMA)
    story = handed_in(BAD, None, expected_outputs=(expected,))
    story.when(RELEASE).refused_only("output-unsound")
    held = ValidateOutput(**W, output_id="O-1", criterion_id="D-1", content=BAD)
    story.when(held, by="bot").then(OutputValidated)
    assert story.log()[-1].event.data.result == "failed"


def test_a_criterion_is_about_the_output_that_serves_it() -> None:
    letter = ExpectedOutput(name="letter", criteria=("C-1",), required=False)
    handed_in(GOOD, expected_outputs=(letter,)).when(RELEASE).then(OutputReleased)
    served = ExpectedOutput(name="booking", criteria=("C-1",))
    handed_in(GOOD, expected_outputs=(served,)).when(RELEASE).refused_only("output-unsound")


def test_a_schema_that_is_none_is_not_declared() -> None:
    criterion = AcceptanceCriterion(id="C-1", text="a booking", json_schema={"type": 3})
    define = DefineWork(**W, title="Refund", accountable="ana", acceptance_criteria=(criterion,))
    Story().when(define).refused_only("condition-unsound")
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"))
    expected = (ExpectedOutput(name="booking", json_schema={"required": "amount"}),)
    story.when(DelegateWork(**W, delegate="bot", expected_outputs=expected)).refused_only("condition-unsound")
    story.fact(
        WorkDelegated(delegation_id="D-1", delegator="ana", delegate="bot", expected_outputs=expected)
    ).finds_only("condition-unsound")


# ---- before the end


def test_an_output_is_shown_before_the_end_and_is_no_result_yet() -> None:
    story = Story().given(DefineWork(**W, title="Refund", accountable="ana"), StartExecution(**W, execution_id="E-1"))
    story.when(ProduceOutput(**W, output=booking(GOOD))).then(OutputProduced(output=booking(GOOD), execution_id="E-1"))
    made = story.state().outputs["O-1"]
    assert (made.makers, made.handed_over, made.execution_id) == (("ana",), False, "E-1")
    story.when(ExecuteWork(**W, execution_id="E-1", result="completed")).then(WorkExecuted)


def test_what_was_shown_is_a_result_once_it_is_handed_in_and_is_then_held_against_its_schema() -> None:
    for outputs, broken in ((("O-1",), {"output-unsound"}), ((), set[str]())):
        criterion = AcceptanceCriterion(id="C-1", text="a booking", check="schema", json_schema=SCHEMA)
        story = Story().given(
            DefineWork(**W, title="Refund", accountable="ana", acceptance_criteria=(criterion,)),
            StartExecution(**W, execution_id="E-1"),
            ProduceOutput(**W, output=booking(GOOD)),
        )
        story.fact(WorkSubmitted(outputs=outputs)).finds_nothing()
        story.given(VerifyWork(**W, criteria=(CriterionVerdict(id="C-1", result="passed"),)))
        assert story.when(CompleteWork(**W)).rules == broken


def test_an_output_comes_out_of_an_execution_that_runs_and_from_who_carries_it_out() -> None:
    story = handed_in(GOOD)
    late = ProduceOutput(**W, output=booking(BAD), execution_id="E-1")
    story.when(late, by="bot").refused_only("execution-unknown")
    story.fact(OutputProduced(output=booking(BAD), execution_id="E-9")).finds_only("execution-unknown")


def test_new_bytes_end_what_was_asked_of_the_old() -> None:
    policy = PublishPolicy(policy_id="check", kind="review", rules=PolicyRules(review=ReviewRules()))
    story = Story().given(
        policy,
        DefineWork(**W, title="Refund", accountable="ana", review_policy="check"),
        StartExecution(**W, execution_id="E-1"),
    )
    story.when(ExecuteWork(**W, execution_id="E-1", result="completed", outputs=(booking(BAD),))).then(
        WorkExecuted, ReviewRequested
    )
    story.when(ProduceOutput(**W, output=booking(GOOD))).then(OutputProduced, ReviewInvalidated, ReviewRequested)
    assert story.state().life.state == "in_review", "somebody has to look at what there is now"
    [asked] = [review.request for review in story.state().reviews.values() if review.status == "open"]
    assert asked.output_dig == dig(GOOD)
    passes = ReviewWork(**W, review_id=asked.review_id, output_id="O-1", output_dig=dig(GOOD), verdict="approved")
    story.when(passes, by="ben").then(WorkReviewed)
    story.when(ProduceOutput(**W, output=booking(BAD))).then(OutputProduced, ReviewInvalidated)


# ---- the schemas themselves


@pytest.mark.parametrize(
    "found, content, said",
    [
        ({"$ref": "#"}, "1", "refers to itself without end"),
        ({"$ref": "https://shop.example/schemas/booking"}, "1", "which is not in it"),
        ({"patternProperties": {"(a+)+$": True}}, "{}", "patternProperties, which is not offered"),
        ({"uniqueItems": True}, json.dumps([[n] for n in range(5_000)]), "steps"),
        ({"allOf": [{"items": True}] * 500}, json.dumps([1] * 20_000), "steps"),
        ({"pattern": "(?=a)b"}, '"a"', "cannot be matched in linear time"),
        ({"pattern": "x" * 300}, '"a"', "300 characters"),
    ],
)
def test_a_schema_that_asks_for_too_much_is_told_so(found: dict[str, Any], content: str, said: str) -> None:
    assert schema.problem(found) is None
    story = handed_in(content, found)
    [breach] = story.when(validate(content)).breaches
    assert said in breach.detail


def test_what_doubles_at_every_step_is_stopped() -> None:
    steps = {f"s{n}": {"allOf": [{"$ref": f"#/$defs/s{n + 1}"}] * 2} for n in range(40)}
    before = time.process_time()
    with pytest.raises(schema.TooMuch, match="steps"):
        schema.faults({"$defs": steps | {"s40": True}, "$ref": "#/$defs/s0"}, "1")
    assert time.process_time() - before < 1.0


def test_a_text_that_is_hard_to_match_is_matched_in_linear_time() -> None:
    before = time.process_time()
    assert schema.faults({"pattern": "(a+)+$"}, json.dumps("a" * 4_000 + "b"))
    assert time.process_time() - before < 0.2


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=2), each, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_the_bounded_validator_finds_what_the_plain_one_does(content: Any) -> None:
    found = {
        "anyOf": [{"type": ["null", "boolean", "string"]}, {"$ref": "#/$defs/some"}],
        "$defs": {"some": {"items": {"type": "integer"}, "maxProperties": 1, "minimum": 0, "uniqueItems": True}},
    }
    plain = Draft202012Validator(found).is_valid(content)
    assert (schema.faults(found, json.dumps(content)) == []) is plain
