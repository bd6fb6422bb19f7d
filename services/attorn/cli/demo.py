"""`attorn demo`: a story of half a minute on a real log, for who has never seen attorn before.

It starts a whole attorn of its own, forgotten at the end: nats-server, services, projector. Everything that it prints
was answered by them; nothing is made up here but the people.
"""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from attorn.cli.errors import Exit
from attorn.cli.wrapping import cells, fold
from attorn.contracts import subjects
from attorn.contracts.refusal import Problem, Receipt

if TYPE_CHECKING:
    from nats.aio.client import Client

CUSTODIAN = "olga"
WIDTH = 80
INDENT = "  "
READ_S = 0.45
"""How long a line stays alone on a terminal, so that it can be read; nothing waits where nobody looks."""


class Story:
    """Tells, and asks the attorn of the demo; what its people try is a sentence, what attorn answers stands below."""

    def __init__(self, nc: "Client", console: Console) -> None:
        self._nc, self._console = nc, console
        self.position = 0

    async def say(self, text: str | Text = "", style: str | None = None) -> None:
        self._console.print(text, style=style, highlight=False)
        if self._console.is_terminal:
            await asyncio.sleep(READ_S)

    async def chapter(self, title: str) -> None:
        self._console.print()
        await self.say(title, "bold")

    async def line(self, text: str, *, position: int | None = None, before: tuple[str, str] | None = None) -> None:
        """A line of the story, folded to fit; `before`: a word and its colour, `position` stands behind the first."""
        wide = min(self._console.width, WIDTH) if self._console.is_terminal else WIDTH
        indent = INDENT * (1 if before is None else 2)
        word, colour = before or ("", "")
        # The first line has the word, and room for the position; the others begin below it.
        first, *rest = fold(f"{word} {text}".strip(), max(20, wide - len(indent) - (6 if position is not None else 0)))
        rest = fold(" ".join(rest), max(20, wide - len(indent) - len(INDENT))) if rest else []
        shown = Text(indent + first)
        shown.stylize(colour, len(indent), len(indent) + len(word))
        if position is not None:
            shown.append(f"{'#' + str(position):>{max(1, wide - len(indent) - cells(first))}}", style="dim")
        await self.say(shown)
        for more in rest:
            self._console.print(Text(indent + INDENT + more))

    async def does(self, who: str, verb: str, sentence: str, **fields: Any) -> Receipt:
        """`who` gives a command, and it is carried out."""
        reply = await self._command(who, verb, fields)
        assert isinstance(reply, Receipt), f"{verb}: {reply}"
        await self.line(sentence, position=reply.position)
        return reply

    async def may_not(self, who: str, verb: str, sentence: str, **fields: Any) -> None:
        """`who` gives a command, and it is refused."""
        reply = await self._command(who, verb, fields)
        assert isinstance(reply, Problem), f"{verb} was not refused: {reply}"
        await self.line(sentence)
        for rule in reply.rules[:1]:
            await self.line(f"{rule.rule}: {rule.detail}", before=("refused", "red"))

    async def reports(self, source: str, sentence: str, subject: str, type: str, id: str, **data: Any) -> None:
        """A system reports a fact; whatever rule it broke, it is recorded."""
        event = {"specversion": "1.0", "id": id, "source": f"/{source}", "type": f"attorn.{type}.v1",
                 "subject": subject, "time": datetime.now(UTC), "data": data}  # fmt: skip
        message = await self._nc.request(subjects.fact(source), msgspec.json.encode(event), timeout=10)
        reply = msgspec.json.decode(message.data, type=Receipt | Problem)
        assert isinstance(reply, Receipt), reply
        self.position = max(self.position, reply.position)
        await self.line(sentence, position=reply.position)
        for rule in reply.warnings:
            await self.line(f"{rule.rule}: {rule.detail}", before=("recorded, and found", "yellow"))

    async def ask(self, question: str, **parameters: Any) -> Any:
        """What the views say, once they have everything that was done so far."""
        body = msgspec.json.encode({**parameters, "wait_for": self.position})
        message = await self._nc.request(subjects.query(question), body, timeout=15)
        return msgspec.json.decode(message.data)["result"]

    async def order(self, question: str, **parameters: Any) -> Any:
        message = await self._nc.request(subjects.query(question), msgspec.json.encode(parameters), timeout=30)
        return msgspec.json.decode(message.data)["result"]

    async def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        self._console.print()
        self._console.print(table)
        if self._console.is_terminal:
            await asyncio.sleep(2 * READ_S)

    async def _command(self, who: str, verb: str, fields: dict[str, Any]) -> Receipt | Problem:
        message = await self._nc.request(subjects.command(who, verb), msgspec.json.encode(fields), timeout=10)
        reply = msgspec.json.decode(message.data, type=Receipt | Problem)
        if isinstance(reply, Receipt):
            self.position = max(self.position, reply.position)
        return reply


async def tell(story: Story) -> None:
    """The story from its first chapter to the proof."""
    await _who_works_here(story)
    await _work_is_handed_over(story)
    await _an_agent_goes_too_far(story)
    await _work_nobody_told_us_about(story)
    await _stuck(story)
    await _somebody_leaves(story)
    await _who_answered(story)
    await _what_was_found(story)


async def _who_works_here(story: Story) -> None:
    await story.chapter("Three people, two agents, one process")
    people = {"ana": "Ana, head of refunds", "ben": "Ben, refunds clerk", "carla": "Carla, operations lead"}
    for id, name in people.items():
        await story.does(CUSTODIAN, "participant.register", f"{name}, takes part",
                         participant_id=id, kind="human", display_name=name)  # fmt: skip
    for id, name, sponsor in (("refunds-bot", "Refunds bot", "ana"), ("triage-bot", "Triage bot", "carla")):
        by = people[sponsor].partition(",")[0]
        await story.does(CUSTODIAN, "participant.register", f"{name}, an agent, takes part; its sponsor is {by}",
                         participant_id=id, kind="agent", display_name=name, sponsor=sponsor)  # fmt: skip
    await story.does("ana", "policy.publish", "Ana publishes a policy: somebody else than its maker reviews a refund",
                     policy_id="refund-review", kind="review",
                     rules={"review": {"reviewers_required": 1, "candidates": ["ben"]}})  # fmt: skip
    ladder = [{"rung": 1, "targets": ["ben"], "ack_within": "PT15M"},
              {"rung": 2, "targets": ["carla"], "ack_within": "PT1H"}]  # fmt: skip
    await story.does("ana", "policy.publish", "And one more: whoever is stuck asks Ben first, and then Carla",
                     policy_id="refund-help", kind="escalation", rules={"escalation": {"ladder": ladder}})  # fmt: skip
    await story.does("ana", "process.publish", "Ana publishes the process of refunds, which holds to both, and owns it",
                     process_id="refunds", owner="ana", purpose="Customers get back what is theirs, in two days",
                     review_policy="refund-review", escalation_policy="refund-help", risk_tier="high")  # fmt: skip


async def _work_is_handed_over(story: Story) -> None:
    await story.chapter("Work is defined, delegated, executed, sent back, done again, and released")
    await story.may_not("ana", "work.define", "Ana wants the refunds bot to answer for the work",
                        work_id="W-1042", title="Refund order 7781", accountable="refunds-bot",
                        process="refunds")  # fmt: skip
    await story.does("ana", "work.define", "Ana defines the work: refund order 7781; she answers for it herself",
                     work_id="W-1042", title="Refund order 7781", accountable="ana", process="refunds",
                     acceptance_criteria=[{"id": "amount", "text": "the amount is what was paid"}])  # fmt: skip
    until = datetime.now(UTC) + timedelta(hours=4)
    await story.does("ana", "work.delegate", "Ana delegates it: look up, calculate, draft, never pay; for four hours",
                     work_id="W-1042", delegation_id="D-1", delegate="refunds-bot",
                     activities=["look_up_order", "calculate_refund", "draft_decision"], exclusions=["pay_out"],
                     expected_outputs=[{"name": "decision"}], valid_until=until,
                     autonomy="act_then_review")  # fmt: skip
    await story.does("refunds-bot", "delegation.accept", "The refunds bot accepts",
                     work_id="W-1042", delegation_id="D-1")  # fmt: skip
    await story.does("refunds-bot", "execution.start", "The bot starts", work_id="W-1042", execution_id="E-1")
    await story.does("refunds-bot", "execution.record_action", "The bot looks up the order",
                     work_id="W-1042", execution_id="E-1", tool="look_up_order", target="order/7781")  # fmt: skip
    first = _output("Refund 118.00 EUR")
    await story.does("refunds-bot", "work.execute", "The bot hands in its decision: 118 euros",
                     work_id="W-1042", execution_id="E-1", result="completed", outputs=[first])  # fmt: skip
    await story.may_not("refunds-bot", "output.release", "The bot tries to send it out at once",
                        work_id="W-1042", output_id="decision")  # fmt: skip
    await story.may_not("refunds-bot", "work.review", "The bot tries to approve it itself",
                        work_id="W-1042", review_id="E-1-R1", output_id="decision", output_dig=first["dig"],
                        verdict="approved")  # fmt: skip
    await story.does("ben", "work.review", "Ben looks at it, and sends it back: the shipping is missing",
                     work_id="W-1042", review_id="E-1-R1", output_id="decision", output_dig=first["dig"],
                     verdict="changes_requested", comment="The customer paid 4.90 for shipping as well.")  # fmt: skip
    await story.does("refunds-bot", "execution.start", "The bot starts again", work_id="W-1042", execution_id="E-2")
    second = _output("Refund 122.90 EUR")
    await story.does("refunds-bot", "work.execute", "The bot hands in another decision: 122 euros 90",
                     work_id="W-1042", execution_id="E-2", result="completed", outputs=[second])  # fmt: skip
    await story.does("ben", "work.review", "Ben approves exactly these bytes",
                     work_id="W-1042", review_id="E-2-R1", output_id="decision", output_dig=second["dig"],
                     verdict="approved")  # fmt: skip
    await story.does("ana", "output.release", "Ana releases it to the customer",
                     work_id="W-1042", output_id="decision", to="customer", channel="mail")  # fmt: skip
    await story.does("ana", "work.verify", "Ana checks it against the acceptance criterion: it holds", work_id="W-1042",
                     criteria=[{"id": "amount", "result": "passed"}])  # fmt: skip
    await story.does("ana", "work.complete", "Ana completes the work, and goes on answering for it", work_id="W-1042")


async def _an_agent_goes_too_far(story: Story) -> None:
    await story.chapter("An agent goes beyond its mandate")
    await story.does("ana", "work.define", "Ana defines more work: refund order 7790",
                     work_id="W-1043", title="Refund order 7790",
                     accountable="ana", process="refunds")  # fmt: skip
    await story.does("ana", "work.delegate", "Ana delegates it: look up, calculate, never pay",
                     work_id="W-1043", delegation_id="D-2", delegate="refunds-bot",
                     activities=["look_up_order", "calculate_refund"], exclusions=["pay_out"])  # fmt: skip
    await story.does("refunds-bot", "execution.start", "The bot starts", work_id="W-1043", execution_id="E-3")
    await story.may_not("refunds-bot", "execution.record_action", "The bot says that it is going to pay out",
                        work_id="W-1043", execution_id="E-3", tool="pay_out", target="account/7790",
                        side_effect=True)  # fmt: skip
    await story.reports("payments", "The payment system reports that the bot paid all the same", "work/W-1043",
                        "execution.action_recorded", "pay-7790", execution_id="E-3", action_id="A-9",
                        tool="pay_out", target="account/7790", side_effect=True)  # fmt: skip


async def _work_nobody_told_us_about(story: Story) -> None:
    await story.chapter("A system that nobody registered reports work that nobody defined")
    await story.reports("legacy-crm", "The old CRM reports that it answered a customer", "work/CRM-77",
                        "execution.started", "crm-77-1", execution_id="crm-1", executor="legacy-crm")  # fmt: skip
    answer = await story.ask("who", work="CRM-77")
    await story.line("Who answers for CRM-77?")
    await story.line(f"{answer['steps'][-1]}", before=(f"{answer['name']}:", "green"))


async def _stuck(story: Story) -> None:
    await story.chapter("An agent is stuck, and asks")
    context = {"summary": "Order 7790 was paid out, and nobody had allowed it.",
               "question": "Take the payment back?",
               "options": [{"id": "take-back", "label": "Take it back"}, {"id": "keep", "label": "Keep"}]}  # fmt: skip
    await story.does("triage-bot", "work.escalate", "The triage bot escalates the payment: take it back, or keep it?",
                     work_id="W-1043", escalation_id="X-1", reason="decision_needed", severity="high", blocking=True,
                     context=context)  # fmt: skip
    waiting = await story.ask("escalations")
    raised = waiting["escalations"][0]
    first = raised["ladder"][0]["targets"][0]
    await story.line(
        f"{raised['severity']}; the work waits until it is resolved, and {first} is asked first",
        before=("open:", "yellow"),
    )
    await story.does("ben", "escalation.acknowledge", "Ben takes it up", work_id="W-1043", escalation_id="X-1")
    await story.does("ben", "escalation.answer", "Ben decides: take the payment back",
                     work_id="W-1043", escalation_id="X-1", option_id="take-back",
                     decision="Take the payment back.")  # fmt: skip
    await story.does("ben", "escalation.resolve", "It is resolved, and the work goes on", work_id="W-1043",
                     escalation_id="X-1", outcome="returned")  # fmt: skip


async def _somebody_leaves(story: Story) -> None:
    await story.chapter("Ana leaves")
    await story.may_not(CUSTODIAN, "participant.deactivate", "Just like that, with work in her name?",
                        participant_id="ana", reason="a new job")  # fmt: skip
    await story.does(CUSTODIAN, "participant.deactivate", "She names Carla, who answers for all of hers from here on",
                     participant_id="ana", reason="a new job", successor="carla")  # fmt: skip


async def _who_answered(story: Story) -> None:
    await story.chapter("Who answered for what, and when?")
    rows = []
    for work in ("W-1042", "W-1043", "CRM-77"):
        for interval in (await story.ask("intervals", work=work))["intervals"]:
            until = interval.get("until_position")
            rows.append((work, f"#{interval['from_position']}", f"#{until}" if until else "now",
                         interval["name"], interval["basis"]))  # fmt: skip
    await story.table(("work", "from", "until", "who answered", "because"), rows)


async def _what_was_found(story: Story) -> None:
    await story.chapter("What was found, without anybody looking")
    found = (await story.ask("findings", status="open"))["findings"]
    await story.table(("finding", "in", "what"), [(f["id"], f["stream"].partition("/")[2], f["detail"]) for f in found])


async def prove(story: Story, nc: "Client") -> bool:
    """The proof from the log alone, then the views folded anew; whether both hold."""
    from attorn.projections.audit import Auditor
    from attorn.services.ledger.jetstream import JetStreamLedger

    await story.chapter("The proof, from the log alone")
    auditor = Auditor()
    async for page in JetStreamLedger(nc).follow():
        auditor.feed(page.recorded)
        if not page.pending:
            break
    proof = auditor.result()
    await story.say(
        f"  {proof.items} work items at every one of {proof.positions} positions: "
        f"gaps {proof.gaps}, overlaps {proof.overlaps}, non-human {proof.non_human}"
    )
    await story.chapter("The views, folded anew from the first event")
    job = await story.order("projector.verify", wait=20)
    for view in job["views"]:
        equal = "[green]equal[/green]" if view["equal"] else "[red]different[/red]"
        await story.say(f"  {view['view']:<16} {view['rebuilt'][:31]}…  {equal}")
    return proof.holds and bool(job["views"]) and all(view["equal"] for view in job["views"])


def _output(text: str) -> dict[str, str]:
    dig = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return {"output_id": "decision", "name": "decision", "dig": dig, "media_type": "text/plain", "contribution": "ai"}


class Stopped(Exception):
    """A signal ended the attorn of the demo."""


@asynccontextmanager
async def _attorn() -> AsyncIterator[str]:
    """A whole attorn on a free port, for as long as the block runs; the URL of its NATS. Raises Stopped on Ctrl-C."""
    import nats

    from attorn.services.custody import ensure_custodian
    from attorn.services.ledger.jetstream import JetStreamLedger
    from attorn.services.provision import provision
    from attorn.services.supervise.server import free_port
    from attorn.services.supervise.up import UpOptions, up

    async def begin(url: str) -> None:
        nc = await nats.connect(url)
        await provision(nc)
        await ensure_custodian(JetStreamLedger(nc), CUSTODIAN, "Olga, custodian of the ledger", datetime.now(UTC))
        await nc.close()

    ready, stop, port = asyncio.Event(), asyncio.Event(), free_port()
    options = UpOptions(provision=begin, ephemeral=True, port=port)
    running = asyncio.create_task(
        up(options, lambda line: ready.set() if line.startswith("ready") else None, stop=stop)
    )
    waiting = asyncio.create_task(ready.wait())
    telling, stopped = asyncio.current_task(), asyncio.create_task(stop.wait())
    assert telling is not None
    # Ctrl-C ends the attorn of the demo; its story would go on to ask, with nobody there to answer.
    stopped.add_done_callback(end := lambda _: telling.cancel())
    try:
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running  # it could not start, and says why
        yield f"nats://127.0.0.1:{port}"
    except asyncio.CancelledError:
        if stop.is_set():
            raise Stopped from None
        raise
    finally:
        stopped.remove_done_callback(end)
        stopped.cancel()
        waiting.cancel()
        stop.set()
        await asyncio.gather(running, return_exceptions=True)


async def perform(console: Console) -> int:
    """Tell the story; 0 when everything in it came true, 7 when a proof did not hold."""
    import nats

    console.print("[bold]attorn[/bold]: hand work over, and always know who answers for it.")
    console.print("Starting nats-server, the services and the projector, for this story only …", style="dim")
    console.print("On the right, with #, is the place of each event in the log.", style="dim")
    async with _attorn() as url:
        nc = await nats.connect(url)
        try:
            story = Story(nc, console)
            await tell(story)
            holds = await prove(story, nc)
        finally:
            await nc.close()
    console.print()
    if holds:
        console.print("It holds: every answer above is made from the log, and can be made again.", style="bold")
        console.print("`attorn up` starts one that stays; README.md goes on from there.", style="dim")
    else:
        console.print("A proof did not hold: this is a fault of attorn.", style="bold red")
    return Exit.OK if holds else Exit.CHECK_FAILED


def demo() -> int:
    """Tell a story of half a minute: people, agents, work that changes hands, and the proof of who answered for it.

    Example: attorn demo
    """
    try:
        return asyncio.run(perform(Console(file=sys.stdout, soft_wrap=True)))
    except Stopped:
        return Exit.INTERRUPTED
