"""`attorn import`: logs of other systems, as facts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from attorn.cli.connect import connected
from attorn.cli.errors import Exit, misused, visible
from attorn.cli.options import Given, Id, Who
from attorn.cli.output import Advance, bold, facts, progress, say, width, write_one

if TYPE_CHECKING:
    from attorn.services.imports.run import Report

app = App(name="import", help="Take in logs of other systems.")


@app.command
async def xes(
    file: Annotated[Path, Parameter(metavar="FILE", help="An event log in XES (IEEE 1849), plain or gzip.")],
    /,
    *,
    mapping: Annotated[
        str, Parameter(metavar="M", help="What its events mean: a mapping that attorn brings, or a TOML file.")
    ] = "default",
    source: Annotated[
        Id | None, Parameter(help="Who reports them; by default as the mapping says, or the file.")
    ] = None,
    custodian: Annotated[
        Who | None, Parameter(help="The person who answers for work that nobody else answers for; by default who acts.")
    ] = None,
    logical_time: Annotated[bool, Parameter(help="Where an event has no time, count on from the one before.")] = False,
    options: Given,
) -> int:
    """Take in a log in XES: every event of it, as facts. Taken in again, nothing is recorded twice.

    The whole file is read first: of a log that cannot be read to its end nothing is recorded.

    Example: attorn import xes incidents.xes.gz --mapping bpic2013-incidents
    """
    from attorn.services.imports.mapping import load
    from attorn.services.imports.run import NatsDoors, run

    if not file.is_file():
        raise misused(f"{file}: there is no such file")
    chosen = load(mapping)
    async with connected(options, patient=True) as attorn:
        with ExitStack() as bars, interrupted() as told:
            report = await run(
                file,
                chosen,
                NatsDoors(attorn.nc),
                _stages(bars, told),
                actor=options.actor,
                source=source,
                custodian=custodian,
                logical_time=logical_time,
            )
    import msgspec

    found = msgspec.to_builtins(report)
    write_one(options, found, lambda: _lines(report), id=report.source)
    for sentence in report.mentioned:
        say(f"attorn: not recorded: {visible(sentence)}")
    if report.conflicts or report.rejected:
        return Exit.CONFLICT if report.conflicts else Exit.FAILED
    return Exit.OK


@app.command
async def tau(
    file: Annotated[Path, Parameter(metavar="FILE", help="Runs of an agent as tau-bench keeps them, plain or gzip.")],
    /,
    *,
    custodian: Annotated[
        Who | None, Parameter(help="The person who answers for the runs, and for the agent; by default who acts.")
    ] = None,
    options: Given,
) -> int:
    """Take in an agent's runs of tau-bench: its actions, its escalations, and what they were worth.

    Taken in again, nothing is recorded twice. There are no times in the data: they are logical, and say so.

    Example: attorn import tau gpt-4o-airline.json.gz
    """
    from attorn.client.attorn import connect
    from attorn.services.imports.tau import SOURCE, run

    if not file.is_file():
        raise misused(f"{file}: there is no such file")
    with ExitStack() as bars, interrupted() as told:
        async with connect(options.url, participant=options.actor, source=SOURCE, timeout=options.timeout) as attorn:
            report = await run(file, attorn, custodian=custodian or options.actor, progress=_stages(bars, told))
    import msgspec

    counts = [("runs", f"{report.runs:,}"), ("facts", f"{report.facts:,}"), ("there already", f"{report.there:,}")]
    write_one(
        options,
        msgspec.to_builtins(report),
        lambda: [bold(f"{report.recorded:,} facts recorded"), *facts(counts, width())],
        id=report.source,
    )
    for sentence in report.problems[:20]:
        say(f"attorn: not recorded: {visible(sentence)}")
    return Exit.CONFLICT if report.problems else Exit.OK


@app.command
async def mappings(*, options: Given) -> None:
    """List the mappings that attorn brings.

    Example: attorn import mappings
    """
    from attorn.cli.output import Column, write_list
    from attorn.services.imports.mapping import shipped

    items = [{"mapping": name} for name in shipped()]
    write_list(options, items, (Column("MAPPING", "mapping", "id"),), id="mapping", nothing="there are none")


@contextmanager
def interrupted() -> Iterator[dict[str, int]]:
    """Where Ctrl-C ends it, say how far it got, by the stages that are kept up to date in what is yielded."""
    import asyncio

    told: dict[str, int] = {}
    try:
        yield told
    except (asyncio.CancelledError, KeyboardInterrupt):
        facts = sum(done for stage, done in told.items() if stage != "reading")
        so_far = f"at least {facts:,} facts are recorded" if facts else "nothing is recorded yet"
        say(f"attorn: stopped; {so_far}. The same command goes on with the rest, and records nothing twice.")
        raise


def _stages(bars: ExitStack, told: dict[str, int]) -> Callable[[str, int, int], None]:
    """A bar for each stage, one after the other; `told` how far each has come."""
    now: list[tuple[str, Advance]] = []

    def advance(stage: str, done: int, total: int) -> None:
        told[stage] = done
        if not now or now[-1][0] != stage:
            bars.close()
            unit = "bytes" if stage == "reading" else "facts"
            now.append((stage, bars.enter_context(progress(stage, total, unit=unit))))
        now[-1][1](done, total)

    return advance


def _lines(report: "Report") -> Iterator[str]:
    where = f", positions {report.first_position:,} to {report.last_position:,}" if report.first_position else ""
    yield bold(f"{report.recorded:,} facts recorded, {report.there:,} were there{where}")
    broken = ", ".join(f"{rule} {count:,}" for rule, count in report.warnings.items())
    yield from facts(
        [
            ("source", report.source),
            ("cases", f"{report.cases:,}"),
            ("events", f"{report.source_events:,}"),
            ("without time", f"{report.without_time:,}" if report.without_time else ""),
            ("participants", f"{report.participants:,}"),
            ("conflicts", f"{report.conflicts:,}" if report.conflicts else ""),
            ("rejected", f"{report.rejected:,}" if report.rejected else ""),
            ("findings", broken),
            ("time", f"{report.seconds:.1f} s"),
        ],
        width(),
    )
