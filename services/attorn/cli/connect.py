"""The connection of one command to a running attorn: its doors, the questions to its views, and its log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from attorn.cli.errors import OF_STATUS, UP, Exit, Failed, refused
from attorn.cli.options import Options
from attorn.contracts import subjects
from attorn.contracts.refusal import Problem, Receipt, Reply

if TYPE_CHECKING:
    from nats.aio.client import Client

    from attorn.contracts.messages import Command
    from attorn.services.ledger.jetstream import JetStreamLedger

CONNECT_S = 2.0
RESTART_S = 3.0
"""How long a command waits for a part of this machine's attorn that has just ended: its supervisor starts it again."""

HINT_S = 1.0
"""How long somebody who was refused waits to be told what they may have meant."""


@asynccontextmanager
async def connected(options: Options, *, patient: bool = False) -> AsyncIterator["Attorn"]:
    """A running attorn. Raises Failed at once when there is none.

    `patient`: once connected, wait for a server that goes away, as a command does that follows the log.
    """
    import asyncio

    import nats
    from nats import errors

    from attorn.client.login import login

    url = options.url
    reasons: list[Exception] = []

    async def error(reason: Exception) -> None:
        reasons.append(reason)
        for attorn in made:
            attorn.on_error(reason)

    made: list[Attorn] = []
    try:
        async with asyncio.timeout(options.timeout):
            nc = await nats.connect(
                url,
                name="attorn command",
                allow_reconnect=False,
                # Also the first connection is one that nats-py tries again, sixty times, if it is not told otherwise.
                max_reconnect_attempts=1,
                reconnect_time_wait=0.05,
                connect_timeout=min(options.timeout, CONNECT_S),
                error_cb=error,
                **login(url),
            )
    except (errors.Error, OSError, TimeoutError, ValueError) as failure:
        why = next((str(r) for r in [*reasons, failure] if isinstance(r, errors.Error) and "uthoriz" in str(r)), "")
        what = f"{url} does not let us in: {why}" if why else f"no attorn answers at {url}"
        raise Failed(what, hint=UP, code=Exit.UNREACHABLE) from failure
    if patient:
        nc.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1, "reconnect_time_wait": 0.2}
    attorn = Attorn(nc, options)
    made.append(attorn)
    try:
        yield attorn
    finally:
        with suppress(TimeoutError, errors.Error, OSError):
            async with asyncio.timeout(0.5):
                await nc.close()


class Attorn:
    """A running attorn, as one participant talks to it; `connected` makes one."""

    def __init__(self, nc: "Client", options: Options) -> None:
        self.nc = nc
        self.options = options
        self.patient = True
        """False: who asks wants to know what is there now, and not in a moment."""
        self._ledger: JetStreamLedger | None = None

    @property
    def ledger(self) -> "JetStreamLedger":
        """The log itself, which can be read whether the views are up or not."""
        from attorn.services.ledger.jetstream import JetStreamLedger

        if self._ledger is None:
            self._ledger = JetStreamLedger(self.nc, timeout=self.options.timeout, patience=self.options.timeout)
        return self._ledger

    def on_error(self, error: Exception) -> None:
        if self._ledger is not None:
            self._ledger.on_error(error)

    async def tell(self, command: "Command") -> Receipt:
        """Have `command` carried out, once, however often it is sent. Raises Failed when it was not."""
        import msgspec
        from uuid_utils import uuid7

        subject = subjects.command(self.options.actor, command.verb)
        body, id = msgspec.json.encode(command), str(uuid7())
        try:
            reply = await self.request(subject, body, {"Nats-Msg-Id": id})
            if isinstance(reply, Problem) and reply.status == 504:
                raise TimeoutError
        except TimeoutError:
            # It may have been carried out, or be still: with the same id that is no matter.
            try:
                reply = await self.request(subject, body, {"Nats-Msg-Id": id})
            except TimeoutError:
                what = f"{command.verb} was not answered within {2 * self.options.timeout:g} s"
                hint = "it may have been recorded; look before you ask again"
                raise Failed(what, hint=hint, code=Exit.TIMED_OUT) from None
        if isinstance(reply, Problem):
            raise await self._with_a_hint(of_problem(reply))
        return reply

    async def _with_a_hint(self, failed: Failed) -> Failed:
        """`failed`, with what leads on from there, where that can be said."""
        from attorn.cli.hints import next_step, unregistered

        failed.hint = failed.hint or next_step(failed.rules)
        unknown = unregistered(failed.rules)
        if unknown and not failed.hint:
            import asyncio
            from difflib import get_close_matches

            failed.hint = "`attorn participant ls` says who there is"
            # Ids are listed in their order, and most slips of the hand spare the first letter.
            near, before = list[str](), chr(ord(unknown[0]) - 1) + "~"
            with suppress(Failed, TimeoutError):
                async with asyncio.timeout(HINT_S):
                    page = await self.ask("participants", after=before, limit=1_000)
                near = get_close_matches(unknown, [each["id"] for each in page.get("participants", ())], n=1)
            # Who has left is there, and not meant to be somebody else.
            if near and near[0] != unknown:
                failed.hint = f"did you mean {near[0]}? {failed.hint}"
        return failed

    async def request(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> Reply:
        """A receipt or a problem. Raises TimeoutError, and Failed when nobody is there."""
        import msgspec

        reply: Reply = msgspec.json.decode(await self.ask_bytes(subject, body, headers), type=Reply)
        return reply

    async def ask_bytes(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None, timeout: float = 0
    ) -> bytes:
        """The bytes of the reply. Raises TimeoutError, and Failed when nobody is there."""
        import asyncio

        from nats import errors

        try:
            # Where nobody took it, nothing can have been done yet: asking again is safe.
            clock = asyncio.get_running_loop().time
            until = clock() + min(RESTART_S, self.options.timeout)
            while True:
                try:
                    return (await self.nc.request(subject, body, timeout or self.options.timeout, headers=headers)).data
                except errors.NoRespondersError:
                    if clock() >= until or not self._supervised():
                        raise
                    await asyncio.sleep(0.1)
        except errors.NoRespondersError:
            asked = "the views are" if subject.startswith(subjects.query("")) else "the services are"
            raise Failed(f"{asked} not running at {self.options.url}", hint=UP, code=Exit.UNREACHABLE) from None
        except errors.MaxPayloadError:
            most = f"{self.nc.max_payload:,} bytes"
            raise Failed(f"the message is larger than {most}", hint="send less at once", code=Exit.USAGE) from None
        except (errors.ConnectionClosedError, errors.StaleConnectionError, ConnectionError) as error:
            raise Failed(f"the connection to {self.options.url} broke", hint=UP, code=Exit.UNREACHABLE) from error

    def _supervised(self) -> bool:
        """Whether an `attorn up` of this machine looks after the parts that are asked here."""
        from attorn.services.supervise.instance import running

        here = running(self.options.data) if self.patient else None
        return here is not None and here.nats_url == self.options.url

    async def ask(self, question: str, *, wait: float = 0, **parameters: Any) -> Any:
        """What the views answer; parameters that are None are left out. `wait`: a job is given so much longer."""
        return (await self.ask_at(question, wait=wait, **parameters))[1]

    async def ask_at(self, question: str, *, wait: float = 0, **parameters: Any) -> tuple[int, Any]:
        """The position of the log that the answer is of, and the answer."""
        import msgspec

        asked: dict[str, Any] = {name: value for name, value in parameters.items() if value is not None}
        if wait:
            asked["wait"] = wait
        # A view that waits for a position answers by itself that it is late.
        timeout = max(self.options.timeout, 6.0 if "wait_for" in asked else 0) + wait
        try:
            data = await self.ask_bytes(subjects.query(question), msgspec.json.encode(asked), timeout=timeout)
        except TimeoutError:
            what = f"the views did not answer within {timeout:g} s"
            raise Failed(what, hint="--timeout gives them more", code=Exit.TIMED_OUT) from None
        answer = msgspec.json.decode(data)
        if answer.get("kind") == "problem":
            raise of_problem(msgspec.convert(answer, Problem))
        if (asked.get("position") or 0) > answer["position"]:
            if asked["position"] > (last := await self.ledger.last()):
                # What the log has not come to cannot be told; to answer as of now would pass for it.
                raise Failed(f"the log ends at position {last}, before {asked['position']}", code=Exit.NOT_FOUND)
            if "wait_for" not in asked:
                return await self.ask_at(question, wait=wait, wait_for=asked["position"], **parameters)
        return answer["position"], answer["result"]


def of_problem(problem: Problem) -> Failed:
    """A problem as it is told to whoever typed the command."""
    code = OF_STATUS.get(problem.status, Exit.FAILED)
    rules = [(each.rule, each.detail, each.field) for each in problem.rules]
    match code:
        case Exit.REFUSED:
            return refused(problem.detail, rules)
        case Exit.CONFLICT if rules:
            return refused(problem.detail, rules, code)
        case Exit.NOT_FOUND:
            missing = next((detail for rule, detail, _ in rules if rule == "hidden-work"), problem.detail)
            what = missing.replace("is not defined", "is not on the log")
            return Failed(what, hint="`attorn work ls` says what is; `attorn work define` adds to it", code=code)
        case Exit.UNREACHABLE:
            return Failed(problem.detail, hint="try again in a moment; `attorn status` says more", code=code)
        case _:
            return Failed(problem.detail, code=code, field=problem.field)
