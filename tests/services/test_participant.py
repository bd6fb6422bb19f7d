"""Participants: who takes part, who leads and succeeds whom, in which roles and teams, who is away or suspended."""

from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest

from attorn.contracts import codec, door
from attorn.contracts.context import AddNote, NoteAdded
from attorn.contracts.envelope import Recorded
from attorn.contracts.examples import EVENT_EXAMPLES
from attorn.contracts.messages import EVENTS, KIND_BY_EVENT
from attorn.contracts.participant import (
    AbsenceDeclared,
    AbsenceEnded,
    AddTeamMember,
    AttestationGiven,
    Capacity,
    ChangeManager,
    DeactivateParticipant,
    DeclareAbsence,
    EndAbsence,
    GiveAttestation,
    GrantRole,
    ParticipantDeactivated,
    ParticipantKeyRegistered,
    ParticipantKeyRevoked,
    ParticipantManagerChanged,
    ParticipantRegistered,
    ParticipantResumed,
    ParticipantSuspended,
    ParticipantUpdated,
    RegisterKey,
    RegisterParticipant,
    RemoveTeamMember,
    ResumeParticipant,
    RevokeKey,
    RevokeRole,
    RoleGranted,
    RoleRevoked,
    SigningKey,
    SuspendParticipant,
    TeamMemberAdded,
    TeamMemberRemoved,
    UpdateParticipant,
)
from attorn.contracts.policy import PolicyPublished, PolicyRules, PublishPolicy, ReviewRules
from attorn.contracts.process import ProcessPublished, PublishProcess
from attorn.contracts.refusal import Receipt, Refused
from attorn.contracts.review import ReviewRequested, ReviewWithdrawn
from attorn.contracts.source import RegisterSource, SourceRegistered
from attorn.contracts.work import DefineWork, WorkCancelled
from attorn.projections.directory import KINDS, Directory
from attorn.projections.questions.holding import Node
from attorn.projections.workforce import line
from attorn.services.transact import Command, Fact, record, transact
from sample_story import Story as Log
from sample_story import Told
from story import BEGIN, Story, at_once


def chart(story: Story, **asked: Any) -> dict[str, Node]:
    """Who is on the chart of the people that this tells of, as anybody gets it who asks."""
    return {node.id: node for node in Told(story.log(), {}, 1_000).ask("org", **asked).nodes}


def register(id: str, kind: Any = "human", sponsor: str | None = None) -> RegisterParticipant:
    return RegisterParticipant(participant_id=id, kind=kind, display_name=id.title(), sponsor=sponsor)


def test_people_and_teams_need_no_sponsor() -> None:
    Story().given(register("dana"), register("night-shift", "team"))


@pytest.mark.parametrize("kind", ["agent", "system"])
@pytest.mark.parametrize("sponsor", [None, "bot", "crew", "zed"])
def test_agents_and_systems_need_a_person_as_sponsor(kind: str, sponsor: str | None) -> None:
    Story().when(register("new", kind, sponsor)).refused_only("sponsor-human")
    Story().when(register("new", kind, "ben")).then(ParticipantRegistered)


def test_an_id_is_registered_once_and_not_again_after_leaving() -> None:
    story = Story().given(DeactivateParticipant(participant_id="ben", successor="carla"))
    story.when(register("ben")).refused_only("registered-once")
    Story().when(register("bot")).refused_only("registered-once")


def test_nobody_leaves_who_was_never_here() -> None:
    leaving = ParticipantDeactivated(successor="ana")
    Story().fact(leaving, on="participant/zed").finds_only("registered-once", "participant-authority")
    command = DeactivateParticipant(participant_id="zed", successor="ana")
    Story().when(command).refused_only("registered-once")


@pytest.mark.parametrize("successor", [None, "ben", "bot", "crew", "zed"])
def test_a_person_leaves_to_another_person_who_is_here(successor: str | None) -> None:
    Story().when(DeactivateParticipant(participant_id="ben", successor=successor)).refused_only("successor-human")


def test_nobody_succeeds_who_has_left() -> None:
    story = Story().given(DeactivateParticipant(participant_id="ben", successor="carla"))
    story.when(DeactivateParticipant(participant_id="ana", successor="ben")).refused_only("successor-human")


def test_an_agent_leaves_without_a_successor() -> None:
    Story().when(DeactivateParticipant(participant_id="bot")).then(ParticipantDeactivated)


def test_the_first_successor_stands() -> None:
    story = Story().given(DeactivateParticipant(participant_id="ben", successor="carla"))
    story.when(DeactivateParticipant(participant_id="ben", successor="ana")).refused_only("registered-once")
    assert story.people().answerable("ben").person == "carla"


def test_who_has_left_does_nothing() -> None:
    story = Story().given(DeactivateParticipant(participant_id="ben", successor="carla"))
    define = DefineWork(work_id="W-1", title="Refund", accountable="ana")
    story.when(define, by="ben").refused_only("unregistered-actor")
    story.when(define, by="zed").refused_only("unregistered-actor")
    story.when(GrantRole(participant_id="ben", role="admin")).refused_only("unregistered-actor")


def test_a_role_is_granted_for_longer_and_revoked() -> None:
    story = Story().given(GrantRole(participant_id="ben", role="reviewer", valid_until=BEGIN))
    story.when(GrantRole(participant_id="ben", role="reviewer")).then(RoleGranted)
    story.when(RevokeRole(participant_id="ben", role="reviewer")).then(RoleRevoked)
    story.when(RevokeRole(participant_id="ben", role="reviewer")).then_nothing()
    story.when(RevokeRole(participant_id="zed", role="reviewer")).refused_only("unregistered-actor")


@pytest.mark.parametrize("id", ["bot", "crew", "erp"])
def test_a_custodian_is_a_person(id: str) -> None:
    Story().when(GrantRole(participant_id=id, role="custodian"), by="root").refused_only("custodian-human")
    story = Story()
    story.fact(RoleGranted(role="custodian"), on=f"participant/{id}").finds_only("custodian-human", "role-authority")
    assert story.people().root_custodian() == "root"


REVIEW: Final = PolicyRules(review=ReviewRules(human_required=False))


@pytest.mark.parametrize(
    "command",
    [
        register("new", "agent", "ana"),
        DeactivateParticipant(participant_id="ben", successor="carla"),
        GrantRole(participant_id="ben", role="reviewer"),
        PublishPolicy(policy_id="check", kind="review", rules=REVIEW),
        PublishProcess(process_id="refunds", owner="ana"),
        RegisterSource(source_id="crm", uri="https://crm.example", custodian="ana"),
    ],
    ids=lambda command: command.verb,
)
def test_people_and_rules_are_for_people_to_change(command: Any) -> None:
    Story().when(command, by="bot").refused("undelegated-execution")
    assert Story().when(command, by="root").recorded


@pytest.mark.parametrize(
    "command",
    [
        SuspendParticipant(participant_id="ben"),
        DeactivateParticipant(participant_id="ben", successor="carla"),
        ChangeManager(participant_id="ben", new="carla"),
        DeclareAbsence(participant_id="ben", from_=BEGIN, until=BEGIN + timedelta(days=7), substitute="carla"),
    ],
    ids=lambda command: command.verb,
)
def test_only_who_is_over_somebody_takes_them_out_of_their_place(command: Any) -> None:
    Story().when(command, by="carla").refused_only("participant-authority")
    Story().when(command, by="erp").refused_only("participant-authority", "source-authority")
    admin = Story().given(GrantRole(participant_id="ana", role="admin"), by="root")
    superior = Story().given(ChangeManager(participant_id="ben", new="ana"))
    for story, by in ((Story(), "ben"), (Story(), "root"), (admin, "ana"), (superior, "ana")):
        assert story.when(command, by=by).recorded, by


def test_an_agent_is_stopped_by_its_sponsor_and_by_who_manages_agents() -> None:
    stop = SuspendParticipant(participant_id="bot")
    Story().when(stop, by="ben").refused_only("participant-authority")
    assert Story().when(stop, by="ana").recorded
    managed = Story().given(GrantRole(participant_id="ben", role="agent_manager"), by="root")
    assert managed.when(stop, by="ben").recorded


def test_a_custodian_who_has_left_is_succeeded_as_custodian_too() -> None:
    story = Story().given(DeactivateParticipant(participant_id="root", successor="carla"))
    assert story.when(GrantRole(participant_id="ben", role="admin"), by="carla").recorded
    story.when(GrantRole(participant_id="ana", role="custodian"), by="ana").refused("role-authority")


# ---- what systems say of people


def test_what_a_system_says_of_people_counts_where_it_was_given_the_word() -> None:
    story = Story().given(RegisterSource(source_id="crm", uri="/crm", custodian="ana"))
    for source in ("crm", "unheard-of"):
        told = story.fact(RoleGranted(role="admin"), on="participant/ben", source=source)
        told.finds_only("role-authority", "source-authority")
        left = story.fact(ParticipantDeactivated(successor="ben"), on="participant/carla", source=source)
        left.finds_only("participant-authority", "source-authority")
    people = story.people()
    assert people.is_here("carla") and not people.has_role("ben", "admin", "", story.now)
    assert (people.participants, people.roles) == (story.directory.view.participants, story.directory.view.roles)
    assert story.state("participant/carla").left is None and story.state("participant/ben").roles == ()

    word = RegisterSource(source_id="crm", uri="/crm", custodian="ana", speaks_of=("participant",))
    story.when(word).refused_only("source-authority")
    story.given(word, by="root")
    story.fact(ParticipantDeactivated(successor="ben"), on="participant/carla", source="crm")
    assert not story.people().is_here("carla") and not story.directory.view.is_here("carla")
    assert story.state("participant/carla").left is not None


def test_the_word_is_for_what_it_names_and_lasts_until_it_is_taken() -> None:
    source = RegisterSource(source_id="crm", uri="/crm", custodian="ana", speaks_of=("participant",))
    story = Story().given(source, by="root")
    process, policy = ProcessPublished(version=1, owner="ana"), PolicyPublished(version=1, kind="review", rules=REVIEW)
    story.fact(process, on="process/refunds", source="crm").finds("source-authority")
    story.fact(policy, on="policy/check", source="crm").finds("source-authority")
    assert story.people().processes == {} and story.people().policies == {}
    assert story.state("process/refunds").newest is None and story.state("policy/check").newest is None

    # Registered again it keeps the word, whoever is custodian; only who gives it takes it.
    story.given(msgspec.structs.replace(source, custodian="ben", speaks_of=None))
    story.fact(ParticipantUpdated(org_unit="Store"), on="participant/ben", source="crm").finds_nothing()
    story.when(msgspec.structs.replace(source, speaks_of=())).refused_only("source-authority")
    story.given(msgspec.structs.replace(source, speaks_of=()), by="root")
    story.fact(ParticipantUpdated(org_unit="Shop"), on="participant/ben", source="crm").finds_only("source-authority")
    assert story.people().participants["ben"].org_unit == "Store"
    assert story.state("participant/ben").profile.org_unit == "Store"


def test_a_registered_source_introduces_people_and_changes_nothing_of_who_is_known() -> None:
    new = ParticipantRegistered(participant_id="dora", kind="human", display_name="Dora")
    story = Story()
    story.fact(new, source="crm").finds_only("source-authority")
    assert story.people().kind("dora") is None
    story.given(RegisterSource(source_id="crm", uri="/crm", custodian="ana"))
    story.fact(new, source="crm").finds_nothing()
    assert story.people().is_person("dora") and story.directory.view.is_person("dora")
    story.fact(ParticipantRegistered(participant_id="ben", kind="agent", display_name="Ben", sponsor="ana"),
               source="crm").finds_only("registered-once")  # fmt: skip
    assert story.people().kind("ben") == "human"


def test_no_system_registers_a_source_and_so_none_gives_itself_the_word() -> None:
    story = Story()
    word = SourceRegistered(uri="/erp", custodian="ana", speaks_of=("participant",))
    for source in ("erp", "house"):
        story.fact(word, on="source/erp", source=source).finds_only("source-authority")
    story.when(
        RegisterSource(source_id="erp", uri="/erp", custodian="ana", speaks_of=("participant",)), by="erp"
    ).refused_only("source-authority")
    story.fact(ParticipantUpdated(org_unit="Store"), on="participant/ben", source="erp").finds_only("source-authority")
    assert "erp" not in story.people().sources and story.state("source/erp").registered is None


def test_a_system_gives_commands_about_people_only_with_the_word_and_may_always_stop_itself() -> None:
    register = RegisterParticipant(participant_id="dora", kind="human", display_name="Dora")
    story = Story()
    story.when(register, by="erp").refused_only("source-authority")
    story.when(SuspendParticipant(participant_id="erp"), by="erp").then(ParticipantSuspended)
    story = Story().given(
        RegisterSource(source_id="erp", uri="/erp", custodian="ana", speaks_of=("participant",)), by="root"
    )
    story.when(register, by="erp").then(ParticipantRegistered)


OF_PEOPLE_AND_RULES: Final = [event for event in EVENTS if KIND_BY_EVENT[event] in KINDS]


@pytest.mark.parametrize("said", OF_PEOPLE_AND_RULES, ids=lambda event: event.__name__)
def test_the_word_for_one_kind_of_stream_is_not_the_word_for_what_belongs_in_another(said: type) -> None:
    home = KIND_BY_EVENT[said]
    payload = EVENT_EXAMPLES[said]  # type: ignore[index]
    kinds = [kind for kind in ("participant", "process", "policy") if kind != home]
    story = Story()
    story.given(RegisterSource(source_id="mallory", uri="/m", custodian="ana", speaks_of=kinds), by="root")  # type: ignore[arg-type]
    before = _known(story.people())
    for kind in kinds:
        body = codec.encode(codec.event(payload, id=f"e-{kind}", source="/m", subject=f"{kind}/ben", time=story.now))
        [receipt] = at_once(record(story.streams, [Fact(event=door.fact(body), body=body, source="mallory")]))
        assert isinstance(receipt, Receipt)
        assert {breach.rule for breach in receipt.warnings} == {"misplaced-event"}
        assert story.findings()[receipt.position] == {"misplaced-event"}
        story.state(f"{kind}/ben")
    assert _known(story.people()) == before == _known(story.directory.view)


def _known(people: Directory) -> Any:
    return (
        people.participants, people.roles, people.attestations, people.processes, people.policies, people.sources,
        people.reviewing,
    )  # fmt: skip


def test_no_source_gives_itself_more_of_the_word_or_a_role_in_a_stream_that_is_not_for_it() -> None:
    story = Story()
    story.given(RegisterSource(source_id="rules", uri="/rules", custodian="ana", speaks_of=("policy",)), by="root")
    story.fact(RoleGranted(role="admin"), on="policy/ben", source="rules").finds_only("misplaced-event")
    word = SourceRegistered(uri="/rules", custodian="ana", speaks_of=("participant", "process", "policy"))
    story.fact(word, on="policy/rules", source="rules").finds_only("misplaced-event")
    story.fact(ParticipantUpdated(org_unit="Store"), on="participant/ben", source="rules").finds_only(
        "source-authority"
    )
    assert not story.people().holds("ben", "admin") and not story.directory.view.holds("ben", "admin")
    story.when(GrantRole(participant_id="carla", role="custodian"), by="ben").refused_only("role-authority")

    # Nor does a person by command, whatever the decision says.
    asked = Command(
        stream="policy/ben", body=GrantRole(participant_id="ben", role="admin"), actor="root", at=story.now, id="c",
        source="/attorn/participant/root",
    )  # fmt: skip
    with pytest.raises(Refused) as refused:
        at_once(transact(story.streams, asked, lambda *_: [RoleGranted(role="admin")]))
    assert [(breach.rule, breach.field) for breach in refused.value.breaches] == [("misplaced-event", "subject")]


def test_what_is_in_a_stream_of_another_kind_counts_for_nothing_whoever_said_it() -> None:
    log = Log()
    eve = ParticipantRegistered(participant_id="eve", kind="human", display_name="Eve")
    log.tell("policy/eve", eve, by="jira", system=True)
    log.tell("policy/ana", RoleGranted(role="custodian"))
    log.tell("work/eve", eve)
    dig = f"sha256:{'a' * 64}"
    log.tell("work/W-1", ReviewRequested(review_id="R-1", output_id="O-1", output_dig=dig, candidates=("ana",)))
    log.tell("claim/W-1", ReviewWithdrawn(review_id="R-1", output_id="O-1", output_dig=dig, reason="x"))
    log.tell("policy/W-1", WorkCancelled(reason="x"), by="jira", system=True)
    people = log.folded().directory
    assert people.participants == {} and people.roles == ()
    assert people.reviewing.waiting == {"ana": 1}


def test_while_a_ledger_has_no_custodian_everything_that_is_said_counts() -> None:
    directory = Directory()
    said = (
        ("participant/ana", ParticipantRegistered(participant_id="ana", kind="human", display_name="Ana"), "crm"),
        ("participant/ana", RoleGranted(role="custodian"), "crm"),
        ("participant/ben", ParticipantRegistered(participant_id="ben", kind="human", display_name="Ben"), "crm"),
    )
    for position, (stream, payload, source) in enumerate(said, 1):
        event = codec.event(payload, id=f"e-{position}", source="/crm", subject=stream, time=BEGIN, authid=source,
                            authtype="system")  # fmt: skip
        directory.evolve(Recorded(position, BEGIN, event, b""))
        assert directory.hears(event, position) == (position < 3)
    assert directory.root_custodian() == "ana" and directory.kind("ben") is None


# ---- what is known of somebody


def test_an_update_says_what_is_new_and_what_was() -> None:
    story = Story()
    story.when(UpdateParticipant(participant_id="bot", display_name="Bot two", capacity=Capacity(wip=3))).then(
        ParticipantUpdated(
            display_name="Bot two", capacity=Capacity(wip=3), was={"display_name": "Bot", "capacity": None}
        )
    )
    story.when(UpdateParticipant(participant_id="bot", display_name="Bot two")).then_nothing()
    story.when(UpdateParticipant(participant_id="bot", capabilities=("writing",))).then(
        ParticipantUpdated(capabilities=("writing",), was={"capabilities": []})
    )
    people = story.people()
    assert people.name("bot") == "Bot two"
    assert people.participants["bot"].capabilities == ("writing",)


def test_a_new_sponsor_is_a_person_who_is_here() -> None:
    story = Story()
    for sponsor in ("scout", "crew", "zed"):
        story.when(UpdateParticipant(participant_id="bot", sponsor=sponsor)).refused_only("sponsor-human")
    story.fact(ParticipantUpdated(sponsor="scout"), on="participant/bot").finds_only("sponsor-human")
    story.when(UpdateParticipant(participant_id="bot", sponsor="ben")).then(ParticipantUpdated)
    story.when(UpdateParticipant(participant_id="zed", org_unit="x")).refused_only("unregistered-actor")


# ---- who leads whom (I5)


def test_reporting_lines_have_no_cycle_and_end_at_a_person_who_is_here() -> None:
    story = Story().given(
        ChangeManager(participant_id="ben", new="ana"), ChangeManager(participant_id="bot", new="ben")
    )
    story.when(ChangeManager(participant_id="ana", new="ben")).refused_only("manager-human")
    story.when(ChangeManager(participant_id="ana", new="bot")).refused_only("manager-human")
    story.when(ChangeManager(participant_id="ana", new="ana")).refused_only("manager-human")
    story.when(ChangeManager(participant_id="carla", new="zed")).refused_only("manager-human")
    story.when(ChangeManager(participant_id="carla", new="crew")).refused_only("manager-human")
    story.fact(ParticipantManagerChanged(new="bot"), on="participant/ana").finds_only(
        "manager-human", "participant-authority"
    )


def test_a_change_of_manager_says_who_it_was() -> None:
    story = Story()
    story.when(ChangeManager(participant_id="bot", new="ben")).then(ParticipantManagerChanged(new="ben"))
    story.when(ChangeManager(participant_id="bot", new="ben")).then_nothing()
    story.when(ChangeManager(participant_id="bot")).then(ParticipantManagerChanged(old="ben"))
    assert line(story.people(), "bot").path == ("bot", "ana"), "an agent without a superior is led by its sponsor"


def test_nobody_is_registered_below_nobody() -> None:
    new = RegisterParticipant(participant_id="dana", kind="human", display_name="Dana", reports_to="zed")
    Story().when(new).refused_only("manager-human")
    Story().fact(
        ParticipantRegistered(participant_id="dana", kind="human", display_name="Dana", reports_to="dana")
    ).finds_only("manager-human")


def test_every_agent_is_led_by_a_person_who_is_here_whoever_leaves() -> None:
    story = Story().given(
        ChangeManager(participant_id="scout", new="bot"), ChangeManager(participant_id="bot", new="ben")
    )
    story.when(register("rogue", "agent")).refused_only("sponsor-human")
    assert line(story.people(), "scout").path == ("scout", "bot", "ben")

    # The agent in between goes without a successor, the person with one, and so does the sponsor of both.
    story.given(DeactivateParticipant(participant_id="bot"))
    assert line(story.people(), "scout").person == "ben"
    story.given(
        DeactivateParticipant(participant_id="ben", successor="carla"),
        DeactivateParticipant(participant_id="ana", successor="carla"),
        by="root",
    )
    people = story.people()
    assert line(people, "scout").path == ("scout", "carla")
    assert people.successor(people.participants["scout"].sponsor or "") == "carla"
    assert all(node.problem is None for node in chart(story).values())


def test_the_chart_of_a_day_shows_both_kinds_and_every_agent_ends_at_a_person() -> None:
    story = Story().given(
        RegisterParticipant(participant_id="helper", kind="agent", display_name="Helper", sponsor="carla",
                            external_party="Bots & Co", org_unit="Finance"),
        ChangeManager(participant_id="bot", new="ben"),
        ChangeManager(participant_id="ben", new="carla"),
    )  # fmt: skip
    before = story.now
    story.later(days=1).given(
        ChangeManager(participant_id="bot", new="carla"), DeactivateParticipant(participant_id="scout")
    )

    then, now = chart(story, at=before), chart(story)
    assert then["bot"].path == ("ben", "carla")
    assert now["bot"].path == ("carla",)
    assert "scout" in then and "scout" not in now
    assert (now["helper"].external_party, now["helper"].org_unit) == ("Bots & Co", "Finance")
    for nodes in (then, now):
        for node in nodes.values():
            assert node.id not in node.path
            if node.kind in ("agent", "system"):
                assert node.top is not None and nodes[node.top].kind == "human" and node.problem is None


def test_a_cycle_that_was_reported_is_shown_and_does_not_hang_the_chart() -> None:
    story = Story()
    story.fact(ParticipantManagerChanged(new="ben"), on="participant/ana")
    story.fact(ParticipantManagerChanged(new="ana"), on="participant/ben").finds("manager-human")
    assert chart(story)["ana"].problem == "the line above ana leads back to ana"


# ---- the stop switch


def test_who_is_suspended_is_stopped_until_somebody_else_resumes_them() -> None:
    story = Story()
    story.when(SuspendParticipant(participant_id="ben", reason="odd")).then(ParticipantSuspended(reason="odd"))
    story.when(SuspendParticipant(participant_id="ben")).then_nothing()
    story.when(SuspendParticipant(participant_id="ben", scope="process/refunds")).then_nothing()
    story.when(ResumeParticipant(participant_id="ben"), by="ben").refused("actor-suspended")
    story.when(GrantRole(participant_id="ben", role="reviewer"), by="ben").refused("actor-suspended")
    story.when(ResumeParticipant(participant_id="ben")).then(ParticipantResumed)
    story.when(ResumeParticipant(participant_id="ben")).then_nothing()
    story.when(GrantRole(participant_id="ben", role="reviewer"), by="ben").then(RoleGranted)


def test_a_system_that_is_suspended_is_found_to_go_on() -> None:
    story = Story().given(SuspendParticipant(participant_id="erp"))
    told = story.fact(ParticipantUpdated(org_unit="Store"), on="participant/ben", source="erp")
    told.finds_only("actor-suspended", "source-authority")


def test_who_is_suspended_does_nothing_to_work_where_they_are() -> None:
    work = DefineWork(work_id="W-1", title="Refund", accountable="ana", process="refunds")
    story = Story().given(PublishProcess(process_id="refunds", owner="ana"), work)
    story.given(SuspendParticipant(participant_id="ben", scope="process/refunds"))
    story.when(AddNote(work_id="W-1", text="hm"), by="ben").refused_only("actor-suspended")
    story.given(DefineWork(work_id="W-2", title="Claim", accountable="ana"))
    story.when(AddNote(work_id="W-2", text="hm"), by="ben").then(NoteAdded)
    story.given(SuspendParticipant(participant_id="erp"))
    story.fact(NoteAdded(text="told"), on="work/W-2").finds_only("actor-suspended")
    story.fact(NoteAdded(text="told"), on="work/W-2", source="crm").finds_nothing()


def test_a_suspension_holds_in_its_scope() -> None:
    story = Story().given(SuspendParticipant(participant_id="bot", scope="process/refunds"))
    people = story.people()
    assert people.is_suspended("bot", "process/refunds")
    assert not people.is_suspended("bot", "process/claims") and not people.is_suspended("bot")
    story.given(ResumeParticipant(participant_id="bot"))
    assert not story.people().is_suspended("bot", "process/refunds")


# ---- teams


def test_a_team_is_made_of_people_agents_and_teams() -> None:
    story = Story().given(register("night", "team"))
    story.when(AddTeamMember(team_id="crew", member="ana")).then(TeamMemberAdded(member="ana"))
    story.when(AddTeamMember(team_id="crew", member="ana")).then_nothing()
    story.given(AddTeamMember(team_id="night", member="bot"), AddTeamMember(team_id="crew", member="night"))
    assert story.people().members("crew") == ("ana", "bot")
    story.when(RemoveTeamMember(team_id="crew", member="ana")).then(TeamMemberRemoved(member="ana"))
    story.when(RemoveTeamMember(team_id="crew", member="ana")).then_nothing()
    assert story.people().members("crew") == ("bot",)


@pytest.mark.parametrize(("team", "member"), [("crew", "erp"), ("crew", "zed"), ("crew", "crew"), ("ana", "ben"),
                                              ("deep", "crew")])  # fmt: skip
def test_a_team_is_not_made_of_systems_strangers_or_itself(team: str, member: str) -> None:
    story = Story().given(register("night", "team"), register("deep", "team"))
    story.given(AddTeamMember(team_id="crew", member="night"), AddTeamMember(team_id="night", member="deep"))
    story.when(AddTeamMember(team_id=team, member=member)).refused_only("team-member")
    story.fact(TeamMemberAdded(member=member), on=f"participant/{team}").finds_only("team-member")


# ---- roles


def test_the_custodian_and_admins_say_who_is_admin_and_who_is_custodian() -> None:
    story = Story()
    for role in ("admin", "custodian"):
        story.when(GrantRole(participant_id="ana", role=role), by="ana").refused_only("role-authority")
    story.given(GrantRole(participant_id="carla", role="admin"), by="root")
    story.when(GrantRole(participant_id="ben", role="admin"), by="carla").then(RoleGranted)
    story.when(GrantRole(participant_id="ben", role="reviewer"), by="ana").refused_only("role-authority")
    story.when(RevokeRole(participant_id="ben", role="admin"), by="ana").refused_only("role-authority")
    story.fact(RoleGranted(role="admin"), on="participant/ana").finds_only("role-authority")
    story.fact(RoleRevoked(role="admin"), on="participant/carla").finds_only("role-authority")


def test_nobody_makes_themselves_admin_and_an_admin_may_step_back() -> None:
    story = Story().given(GrantRole(participant_id="carla", role="admin"), by="root")
    for source, others in (("ana", {"source-authority"}), ("house", set[str]())):
        granted = story.fact(RoleGranted(role="admin"), on="participant/ana", source=source)
        granted.finds_only("role-authority", *others)
    story.fact(RoleGranted(role="custodian"), on="participant/ben", source="ben").finds_only(
        "role-authority", "source-authority"
    )
    story.when(RevokeRole(participant_id="carla", role="admin"), by="carla").then(RoleRevoked)


def test_the_owner_of_a_process_says_who_reviews_in_it_and_no_more() -> None:
    story = Story().given(GrantRole(participant_id="carla", role="admin"), by="root")
    story.given(PublishProcess(process_id="refunds", owner="ana"))
    story.when(GrantRole(participant_id="ben", role="reviewer", scope="process/refunds"), by="ana").then(RoleGranted)
    story.when(GrantRole(participant_id="ben", role="reviewer", scope="process/claims"), by="ana").refused_only(
        "role-authority"
    )
    story.when(
        GrantRole(participant_id="ben", role="workflow_architect", scope="process/refunds"), by="ana"
    ).refused_only("role-authority")


def test_a_role_holds_in_its_scope_until_its_day() -> None:
    story = Story().given(
        GrantRole(participant_id="ben", role="auditor", scope="process/refunds", valid_until=BEGIN + timedelta(days=1))
    )
    people = story.people()
    assert people.has_role("ben", "auditor", "process/refunds", BEGIN)
    assert not people.has_role("ben", "auditor", "process/claims", BEGIN)
    assert not people.has_role("ben", "auditor", "process/refunds", BEGIN + timedelta(days=2))
    assert people.somebody_is("auditor", "process/refunds", BEGIN)


# ---- who is away


WEEK: Final = timedelta(days=7)


def away(id: str = "ana", substitute: str = "ben", **said: Any) -> DeclareAbsence:
    return DeclareAbsence(participant_id=id, substitute=substitute, **({"from_": BEGIN, "until": BEGIN + WEEK} | said))


def test_while_somebody_is_away_their_substitute_stands_in() -> None:
    story = Story()
    story.when(away(covers=("review", "escalation"))).then(AbsenceDeclared)
    story.when(away(covers=("review", "escalation"))).then_nothing()
    people, during = story.people(), BEGIN + timedelta(days=3)
    assert people.substitute("ana", "review", during) == "ben"
    assert people.substitute("ana", "accountability", during) == "ana"
    assert people.substitute("ana", "review", BEGIN + timedelta(days=8)) == "ana"

    story.given(away("ben", "carla"))
    assert story.people().substitute("ana", "review", during) == "carla"
    story.given(away("carla", "ana"))
    assert story.people().substitute("ana", "review", during) is None


def test_whoever_comes_back_early_is_here_again_and_keeps_the_holiday_ahead() -> None:
    december = BEGIN + timedelta(days=200)
    story = Story().given(away(), away(from_=december, until=december + WEEK))
    story.later(days=2).when(EndAbsence(participant_id="ana")).then(AbsenceEnded)
    people = story.people()
    assert people.substitute("ana", "review", BEGIN + timedelta(days=1)) == "ben"
    assert people.substitute("ana", "review", BEGIN + timedelta(days=3)) == "ana"
    assert people.substitute("ana", "review", december + timedelta(days=1)) == "ben"
    story.when(EndAbsence(participant_id="ana")).then(AbsenceEnded)
    assert story.people().substitute("ana", "review", december + timedelta(days=1)) == "ana"
    story.when(EndAbsence(participant_id="ana")).then_nothing()


@pytest.mark.parametrize(
    "absence",
    [
        away(substitute="ana"),
        away(substitute="bot"),
        away(substitute="zed"),
        away("bot"),
        away(until=BEGIN),
        away(covers=()),
    ],
)
def test_an_absence_has_an_end_and_a_person_who_stands_in(absence: DeclareAbsence) -> None:
    Story().when(absence).refused_only("absence-covered")


def test_of_two_absences_at_one_time_each_covers_something_else() -> None:
    story = Story().given(away(covers=("review",)))
    asked = story.when(away(substitute="carla", until=BEGIN + 2 * WEEK, covers=("review", "escalation")))
    asked.refused_only("absence-covered")
    [breach] = asked.breaches
    assert breach.field == "data.from" and "ben stands in for review; end that first" in breach.detail
    told = AbsenceDeclared(from_=BEGIN, until=BEGIN + WEEK, substitute="carla", covers=("review",))
    story.fact(told, on="participant/ana").finds("absence-covered")
    story = Story().given(away(covers=("review",)))
    story.when(away(substitute="carla", covers=("escalation",))).then(AbsenceDeclared)
    story.when(away(from_=BEGIN + 2 * WEEK, until=BEGIN + 3 * WEEK, covers=("review",))).then(AbsenceDeclared)
    story.given(EndAbsence(participant_id="ana"))
    story.when(away(substitute="carla", covers=("review",))).then(AbsenceDeclared)


def test_an_absence_that_nobody_covers_is_a_finding() -> None:
    absence = AbsenceDeclared(from_=BEGIN, until=BEGIN + WEEK)
    Story().fact(absence, on="participant/ana").finds_only("absence-covered", "participant-authority")


# ---- keys, and words that are vouched for


def test_a_key_speaks_for_its_owner_from_its_position_until_it_is_revoked() -> None:
    story = Story()
    key = RegisterKey(participant_id="ana", key_id="laptop", public_key="abc", valid_from=100)
    story.when(key).then(ParticipantKeyRegistered)
    story.when(key).then_nothing()
    story.when(RegisterKey(participant_id="ana", key_id="laptop", public_key="other")).refused_only("key-known")
    story.when(RevokeKey(participant_id="ana", key_id="phone")).refused_only("key-known")
    story.when(RevokeKey(participant_id="ana", key_id="laptop", valid_from=200)).then(ParticipantKeyRevoked)
    story.when(RevokeKey(participant_id="ana", key_id="laptop")).then_nothing()
    story.fact(ParticipantKeyRevoked(key_id="laptop"), on="participant/ana").finds_only("key-known")
    people = story.people()
    assert [people.key("ana", "laptop", position) for position in (99, 100, 199, 200)] == [None, "abc", "abc", None]


def test_a_key_that_somebody_came_with_is_known() -> None:
    keys = (SigningKey(key_id="k", public_key="abc"),)
    new = RegisterParticipant(participant_id="dana", kind="human", display_name="Dana", signing_keys=keys)
    story = Story().given(new)
    story.when(RegisterKey(participant_id="dana", key_id="k", public_key="other")).refused_only("key-known")
    assert story.people().key("dana", "k", 1_000) == "abc"
    assert story.people().key("dana", "k", 1) is None, "a key speaks from where it was registered on"


def test_people_vouch_in_their_own_name_for_what_there_is() -> None:
    story = Story().given(PublishProcess(process_id="refunds", owner="ana"))
    vouch = GiveAttestation(participant_id="ana", subject="process/refunds", statement="still so")
    story.when(vouch).then(AttestationGiven)
    story.when(vouch, by="ben").refused_only("attestation-own")
    story.when(GiveAttestation(participant_id="ana", subject="process/unheard-of", statement="so")).refused_only(
        "attestation-own"
    )
    said = AttestationGiven(subject="process/refunds", statement="so")
    story.fact(said, on="participant/bot").finds_only("attestation-own")
    story.fact(said, on="participant/ben").finds_nothing()
