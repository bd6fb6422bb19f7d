"""Every command there is, by name; each is loaded when it is called, or when its own help is asked for."""

import gc
import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

from cyclopts import App, Group, Parameter

from attorn.cli.errors import Failed, misused
from attorn.cli.options import DEFAULT_URL, Format, Options, login

WORKING: Final = Group("Work", sort_key=1)
BEING: Final = Group("Who and what there is", sort_key=2)
PROVING: Final = Group("What happened, and what can be proved", sort_key=3)
RUNNING: Final = Group("Running attorn", sort_key=4)
EVERY: Final = Group("With every command", sort_key=90)

COMMANDS: Final = (
    (WORKING, "work", "app", "Define work, move it on, hand it over; see where it stands."),
    (WORKING, "handover", "app", "Pass the work on to somebody else, who has to take it first."),
    (WORKING, "dependency", "app", "What the work waits for, other work or anything else."),
    (WORKING, "claim", "app", "Be the only one to work on a thing, for as long as the lease lasts."),
    (WORKING, "delegation", "app", "Entrust somebody with part of the work, within bounds."),
    (WORKING, "execution", "app", "Carry work out: start, say what is done, ask, report the end."),
    (WORKING, "output", "app", "What came out of the work: show it early, hold it against its criteria."),
    (WORKING, "recommendation", "app", "Say what you would do; take it, or turn it down and say why."),
    (WORKING, "decision", "app", "Ask for a choice that is somebody's to make, and make it."),
    (WORKING, "review", "app", "Look at what came out, and say whether it may stand."),
    (WORKING, "escalation", "app", "Ask for somebody with more say, and be that somebody."),
    (WORKING, "inbox", "inbox", "What waits for somebody, by deadline."),
    (WORKING, "holding", "holding", "Who carries out what, and holds which claim."),
    (WORKING, "who", "who", "Who answers for a work item, and why; now or at any time."),
    (BEING, "participant", "app", "The humans, agents, teams and systems that take part."),
    (BEING, "team", "app", "Groups of people and agents, who are candidates for the same work."),
    (BEING, "absence", "app", "Who is away, and who stands in."),
    (BEING, "key", "app", "The keys with which participants sign."),
    (BEING, "agent", "app", "Agents at work in processes, and who looks after them."),
    (BEING, "org", "app", "Who reports to whom, and how much each looks after."),
    (BEING, "process", "app", "How a kind of work is to flow, and who owns it."),
    (BEING, "service-review", "app", "The regular sitting over a process and the agents in it."),
    (BEING, "outcome", "app", "What the work is for, and where it stood before."),
    (BEING, "policy", "app", "The rules of reviews, escalations and delegations."),
    (BEING, "source", "app", "The systems that report facts, and their custodians."),
    (PROVING, "contracts", "app", "What events and commands look like; whether a file of events is in order."),
    (PROVING, "quarantine", "app", "What came in and could not be recorded: look at it, send it again."),
    (PROVING, "facts", "app", "Report what has happened, as CloudEvents."),
    (PROVING, "import", "app", "Take in logs of other systems."),
    (PROVING, "activity", "activity", "What somebody did, day by day; people and agents alike."),
    (PROVING, "contributions", "contributions", "Who had a part in a work item, and whose its outputs are."),
    (PROVING, "events", "app", "The log itself: read it, follow it."),
    (PROVING, "audit", "app", "Prove on the whole log what must always hold; list what broke a rule."),
    (PROVING, "finding", "app", "Decide what becomes of a rule that was broken."),
    (PROVING, "projection", "app", "The views: where they are, whether they are right, made anew."),
    (RUNNING, "up", "up_command", "Start attorn on this machine: log, services, views."),
    (RUNNING, "demo", "demo", "A story of half a minute, on a real log of its own."),
    (RUNNING, "status", "status", "Whether it runs, where it is, what waits."),
    (RUNNING, "top", "top", "What is going on, on one page, every second."),
    (RUNNING, "serve", "serve", "Run services and views against a NATS that is there."),
    (RUNNING, "provision", "provision_command", "Make the streams, or check them."),
)
"""Group, name, what to load from the module of that name, one sentence."""

NAMES: Final = tuple(name for _, name, _, _ in COMMANDS)
MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {"import": "imports", "service-review": "service_review", "contributions": "activity", "output": "outputs"}
)
"""Where the module's name is not the command's."""


def version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"attorn {version('attorn')}"
    except PackageNotFoundError:
        return "attorn, from a checkout that is not installed"


app = App(
    name="attorn",
    help="Hand work over, and always know who answers for it.\n\n"
    "attorn up starts one here; attorn demo tells a story; attorn COMMAND --help says more.",
    help_format="markdown",
    version=version,
    version_flags=("--version",),
    help_flags=("--help", "-h"),
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)
app["--help"].group = RUNNING
app["--version"].group = RUNNING
for _group, _name, _found, _sentence in COMMANDS:
    _place = f"attorn.cli.{MODULES.get(_name, _name)}:{_found}"
    app.command(_place, name=_name, help=_sentence, group=_group, sort_key=NAMES.index(_name))


EVERYWHERE: Final = ("--output", "-o", "--as", "--nats-url", "--data", "--timeout")


def in_order(argv: Sequence[str]) -> list[str]:
    """`argv` with what holds for every command first: commands that take `-` for a file would take `-o` for one too."""
    ours, others = list[str](), list[str]()
    rest = iter(argv)
    for token in rest:
        name, equals, _ = token.partition("=")
        if token == "--":
            others += [token, *rest]
        elif name not in EVERYWHERE:
            others.append(token)
        elif equals:
            ours.append(token)
        elif (value := next(rest, None)) is None:
            others.append(token)
        else:
            ours += [token, value]
    return [*ours, *others]


def output_of(argv: Sequence[str]) -> str:
    """How the answer is to be written, also where the line cannot be read to its end."""
    said = os.environ.get("ATTORN_OUTPUT", "")
    for token, value in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, attached = token.partition("=")
        if token == "--":
            break
        if name in ("--output", "-o"):
            said = attached if equals else value
    return said


def ready_help(argv: Sequence[str]) -> None:
    """Where the help of one command is asked for, have it say all it has to say, and not its sentence in the list."""
    if {"--help", "-h"} & set(argv):
        asked = app
        for word in argv:
            if not word.startswith("-") and word in asked:
                asked = asked[word]
        if asked is not app and asked.default_command is not None:
            asked.help = inspect.getdoc(asked.default_command)


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    output: Annotated[
        Format,
        Parameter(name=("--output", "-o"), env_var="ATTORN_OUTPUT", group=EVERY, help="How the answer is written."),
    ] = "table",
    actor: Annotated[
        str | None,
        Parameter(
            name="--as", metavar="WHO", env_var="ATTORN_AS", group=EVERY, help="Who acts; by default who is logged in."
        ),
    ] = None,
    nats_url: Annotated[
        str | None,
        Parameter(
            name="--nats-url",
            metavar="URL",
            env_var="ATTORN_NATS_URL",
            group=EVERY,
            help=f"Where NATS is; by default the attorn that runs on --data, else {DEFAULT_URL}.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        Parameter(
            name="--data",
            metavar="DIR",
            env_var="ATTORN_DATA",
            group=EVERY,
            help=f"The data directory of this machine's attorn, by default {Options.data}; named, no other answers.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        Parameter(
            name="--timeout",
            metavar="SECONDS",
            env_var="ATTORN_TIMEOUT",
            group=EVERY,
            help="How long to wait for an answer.",
        ),
    ] = 5.0,
) -> int | None:
    """Take what holds for every command off the line, and run the command with it."""
    if not 0 < timeout <= 3600:
        raise misused(f"--timeout is {timeout:g}; it is seconds, more than 0 and at most 3600")
    command, bound, ignored = app.parse_args(tokens, exit_on_error=False, print_error=False)
    gc.enable()
    if "options" not in ignored:
        result: Any = command(*bound.args, **bound.kwargs)
        return result if isinstance(result, int) else None
    options = Options(
        actor=actor or login(),
        nats_url=nats_url or None,
        data=data or Options.data,
        data_named=data is not None,
        output=output,
        timeout=timeout,
    )
    try:
        result = command(*bound.args, **bound.kwargs, options=options)
        if inspect.isawaitable(result):
            import asyncio
            import logging

            # What libraries and readers of the log report on the way is for services; here it would be in the way.
            logging.getLogger().addHandler(logging.NullHandler())
            result = asyncio.run(_awaited(result))
    except Failed as failed:
        from attorn.cli.typed import Typed

        raise Typed(command, bound.arguments).explain(failed) from None
    return result if isinstance(result, int) else None


async def _awaited(result: Any) -> Any:
    return await result
