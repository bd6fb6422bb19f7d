"""`attorn policy`: the rules of reviews, escalations and delegations, in versions."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import not_found
from attorn.cli.inputs import command
from attorn.cli.options import Document, Given, Id, Limit
from attorn.cli.output import Column, bold, facts, shown, width, write_list, write_one
from attorn.cli.paging import listed, one, others
from attorn.cli.telling import tell_plainly
from attorn.cli.words import in_words, spelled
from attorn.contracts.policy import PolicyKind, PublishPolicy

app = App(name="policy", help="The rules of reviews, escalations and delegations.")

COLUMNS = (
    Column("POLICY", "id", "id"),
    Column("VERSION", "version", "number"),
    Column("KIND", "kind", "id"),
    Column("SAYS", lambda p: spelled(p["rules"].get(p["kind"]))),
)


@app.command
async def publish(
    file: Document,
    /,
    *,
    id: Annotated[Id | None, Parameter(help="Its id, if the file does not say policy_id.")] = None,
    options: Given,
) -> None:
    """Put a policy, or its next version, into force. The same again changes nothing.

    The file says policy_id, kind and the rules of that kind, in [rules.review], [rules.escalation] and so on.

    review: reviewers_required, candidates, excluded, human_required, exclude_executor, respond_within, sample_rate,
    when, seconds_min.

    escalation: a [[rules.escalation.ladder]] for each rung, with rung, targets, ack_within as in "PT15M"; repeat,
    default_action, question_required.

    delegation: activities, exclusions, conditions, max_autonomy, max_duration, max_depth. authority: may_transfer,
    may_waive_review, limits.

    Work that runs stays under the version that it is pinned to.

    Example: attorn policy publish examples/four-eyes.toml
    """
    asked = command(PublishPolicy, {"policy_id": id}, file)
    async with connected(options) as attorn:
        await tell_plainly(attorn, asked, f"{asked.policy_id} is published ({asked.kind} policy)")


@app.command
async def ls(
    *,
    kind: Annotated[PolicyKind | None, Parameter(help="Only of this kind.")] = None,
    after: Annotated[Id | None, Parameter(help="Begin behind this id.")] = None,
    limit: Limit = 100,
    options: Given,
) -> None:
    """List the policies, each in its newest version.

    Example: attorn policy ls --kind review
    """
    async with connected(options) as attorn:
        found, more = await listed(attorn, "policies", "policies", limit, after, kind=kind)
    write_list(options, found, COLUMNS, id="id", nothing="no policy is published", more=others(more))


@app.command(alias="get")
async def show(
    policy: Annotated[str, Parameter(metavar="POLICY", help="The id of the policy.")], /, *, options: Given
) -> None:
    """Show a policy as its newest version says.

    Example: attorn policy show four-eyes
    """
    async with connected(options) as attorn:
        found = await one(attorn, "policies", "policies", policy)
    if found is None:
        raise not_found(f"no policy {policy} is published", "`attorn policy ls` says which are")
    write_one(options, found, lambda: _described(found), id=policy)


def _described(found: dict[str, Any]) -> list[str]:
    import msgspec

    from attorn.contracts.policy import PolicyRules

    # Also what holds because nothing else is said.
    said_of = getattr(msgspec.convert(found["rules"], PolicyRules), found["kind"])
    rules: dict[str, Any] = msgspec.to_builtins(msgspec.structs.asdict(said_of)) if said_of is not None else {}
    said = [(name.replace("_", " "), in_words(shown(value))) for name, value in rules.items() if name != "ladder"]
    said += [
        (f"rung {rung['rung']}", f"{shown(rung['targets'])}, within {in_words(rung['ack_within'])}")
        for rung in rules.get("ladder", ())
    ]
    return [bold(f"{found['id']} version {found['version']}, {found['kind']} policy"), *facts(said, width())]
