"""What other systems are given to read: JSON Schemas, the AsyncAPI document, the tables of events and rules.

All of it is made from the contracts, so that it cannot say anything else than what the doors do. `tools/generate.py`
writes it into files; a service may serve it as it is.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from attorn.contracts import codec, subjects
from attorn.contracts.door import BODY_BYTES_MAX
from attorn.contracts.envelope import SERVICE_ATTRIBUTES, SEVERITY_NUMBERS, Event
from attorn.contracts.examples import COMMAND_EXAMPLES, EVENT_EXAMPLES, OLDER_EXAMPLES
from attorn.contracts.ids import TOKEN
from attorn.contracts.messages import COMMANDS, EVENTS
from attorn.contracts.refusal import Breach, Problem, Receipt
from attorn.contracts.rules import OBSERVED, RULES
from attorn.contracts.upcast import UPCASTERS
from attorn.projections.questions import QUESTIONS

Document: TypeAlias = dict[str, Any]
Shape: TypeAlias = type[msgspec.Struct]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
VERSION: Final = "1.0.0"
"""Of the contracts, not of the software: fields and types are added in minor versions; nothing is ever taken away."""

_IDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "participant": "refunds-bot",
        "process": "refunds",
        "policy": "refund-review",
        "outcome": "trust",
        "source": "shop",
        "work": "W-1042",
        "claim": "order-4711",
        "ledger": "main",
    }
)
"""The id that the examples have, by the kind of stream."""

_KIND_SENTENCES: Final = {
    "participant": "Who takes part: humans, agents, teams and systems, with their roles, absences and deployments.",
    "process": "How work is to be done: published versions, and the reviews of how it went.",
    "policy": "The rules that work is pinned to.",
    "outcome": "What the work is for, and how that is measured.",
    "source": "The systems that publish facts, and who answers for them.",
    "work": "Everything about one work item, so that its rules see one state.",
    "claim": "Who may work on a resource: one holder at a time.",
    "ledger": "The log about itself: checkpoints, witnesses, erasures, exports.",
}

_RECORDED: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "sequence": "0000000007",
        "authid": "refunds-bot",
        "authtype": "service_account",
        "onbehalfof": "ana",
        "correlationid": "W-1000",
        "causationid": "0195576e-0c00-7000-8000-000000000001",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
)


def fact_example(shape: Shape) -> Event:
    """The example of an event as a publisher sends it to a fact door."""
    place = subjects.kind(shape.type)  # type: ignore[attr-defined]
    return codec.event(
        EVENT_EXAMPLES.get(shape) or OLDER_EXAMPLES[shape],  # type: ignore[arg-type]
        id="0195576e-0c00-7000-8000-000000001042",
        source="https://shop.example/orders",
        subject=f"{place}/{_IDS[place]}",
        time=datetime(2026, 3, 2, 9, tzinfo=UTC),
    )


def recorded_example(shape: Shape) -> Event:
    """The example of an event as it stands on the log, with everything said that can be said of it."""
    event = fact_example(shape)
    severity = getattr(event.data, "severity", None)
    more = {"severitynumber": SEVERITY_NUMBERS[severity], "severitytext": severity} if severity else {}
    whole: Event = msgspec.structs.replace(event, **_RECORDED, **more)
    return whole


# ---- JSON Schema


def event_schemas() -> dict[str, Document]:
    """A schema for each type of event, of the whole CloudEvent, by type."""
    # Publishers that have not moved on yet find what their version was.
    older = {type: _event_schema(old.shape) | {"deprecated": True} for type, old in UPCASTERS.items()}
    return dict(sorted({**{shape.type: _event_schema(shape) for shape in _by_name(EVENTS)}, **older}.items()))


def command_schemas() -> dict[str, Document]:
    """A schema for the body of each command, by verb."""
    return {shape.verb: _command_schema(shape) for shape in _by_name(COMMANDS)}


def _event_schema(shape: Shape) -> Document:
    name: str = shape.type  # type: ignore[attr-defined]
    definitions = _definitions([shape], "#/$defs/{name}")
    envelope = _envelope()
    envelope["properties"] |= {
        "type": {"const": name},
        "subject": _subject(subjects.kind(name)),
        "data": {"$ref": f"#/$defs/{shape.__name__}"},
    }
    return {
        "$schema": DIALECT,
        "$id": f"urn:attorn:schema:{name}",
        "title": shape.__name__,
        "description": _description(shape),
        **envelope,
        "examples": [_builtins(codec.encode(fact_example(shape)))],
        "$defs": definitions,
    }


def _command_schema(shape: Shape) -> Document:
    verb: str = shape.verb  # type: ignore[attr-defined]
    definitions = _definitions([shape], "#/$defs/{name}")
    return {
        "$schema": DIALECT,
        "$id": f"urn:attorn:schema:command:{verb}",
        **definitions.pop(shape.__name__),
        "examples": [_command_example(shape)],
        **({"$defs": definitions} if definitions else {}),
    }


def _envelope() -> Document:
    """A CloudEvent of ours: what a publisher says, and what the service adds when it records it."""
    text = {"type": "string", "minLength": 1, "maxLength": 512}
    optional = {"type": ["string", "null"]}
    recorder = {"readOnly": True}
    return {
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**text, "description": "Unique for its source, for ever: the same id again means the same bytes."},
            "source": {**text, "description": "The system in which it happened, as a URI reference."},
            "type": {**text, "description": "What happened: attorn.<family>.<fact>.v<major>."},
            "subject": _subject(*subjects.KINDS),
            "time": {"type": "string", "format": "date-time", "description": "When it happened, with its offset."},
            "datacontenttype": {"const": "application/json"},
            "dataschema": optional,
            "correlationid": {**optional, "description": "The root work item."},
            "causationid": {**optional, "description": "The command or event that led here."},
            "traceparent": {**optional, "description": "W3C Trace Context."},
            "tracestate": optional,
            "data": True,
            "sequence": {
                "type": "string",
                "pattern": "^[0-9]{10}$",
                "description": "The event's version in its stream, from 1; said by the service that records it.",
                **recorder,
            },
            "authid": {"type": "string", "description": "Who acted, as the broker authenticated them.", **recorder},
            "authtype": {"enum": ["user", "service_account", "system"], **recorder},
            "onbehalfof": {"type": "string", "description": "The human behind an agent's mandate.", **recorder},
            "severitynumber": {"enum": sorted(SEVERITY_NUMBERS.values()), **recorder},
            "severitytext": {"enum": list(SEVERITY_NUMBERS), **recorder},
            "resubmittedby": {
                "type": "string",
                "description": "Who sent it again, in the name of its source, out of quarantine.",
                **recorder,
            },
        },
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "propertyNames": {"pattern": "^[a-z0-9]{1,20}(?!\\n)$"},
        "additionalProperties": {
            "type": ["string", "integer", "boolean", "null"],
            "description": "CloudEvents extension attributes.",
        },
    }


def _subject(*kinds: str) -> Document:
    return {
        "type": "string",
        # A source may keep its events in whatever stream it likes; what belongs where is in the table of events.
        "pattern": f"^({'|'.join(subjects.KINDS)})/{TOKEN.removeprefix('^')}",
        "description": f"The stream that it belongs in: {' or '.join(f'{kind}/<id>' for kind in kinds)}.",
    }


def _definitions(shapes: Iterable[Shape], template: str) -> dict[str, Document]:
    """The schemas of `shapes` and of all that they are made of, by name; what is not said in them is not allowed."""
    _, components = msgspec.json.schema_components(shapes, ref_template=template)
    found: dict[str, Document] = _builtins(msgspec.json.encode(components))
    for definition in found.values():
        if "properties" in definition:
            definition["additionalProperties"] = False
        if "description" in definition:
            definition["description"] = _unwrapped(definition["description"])
    return {name: found[name] for name in sorted(found)}


# ---- AsyncAPI


def asyncapi() -> Document:
    """Every subject that other systems send to or listen on, as an AsyncAPI 3.1.0 document."""
    events = {shape.type: shape for shape in _by_name(EVENTS)}
    commands = {shape.verb: shape for shape in _by_name(COMMANDS)}
    channels, operations = _doors(commands)
    for more_channels, more_operations in (_facts(list(events)), _feeds(list(events)), _questions()):
        channels |= more_channels
        operations |= more_operations
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "attorn",
            "version": VERSION,
            "description": (
                "Hand work over, and always know who answers for it. Commands ask, facts tell; both end on one log, "
                "and the feed has every event of that log once, in order. An event is a CloudEvent 1.0 in structured "
                "mode."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "embedded": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "What `attorn up` starts on this machine.",
            },
            "cluster": {
                "host": "{host}:{port}",
                "protocol": "nats",
                "description": "A NATS cluster of your own; one account is one log.",
                "variables": {"host": {"default": "nats.example.com"}, "port": {"default": "4222"}},
            },
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {
                **{type: _event_message(shape) for type, shape in events.items()},
                **{verb: _command_message(shape) for verb, shape in commands.items()},
                **_other_messages(),
            },
            "parameters": _parameters(),
            "schemas": _schemas(),
        },
    }


def _doors(commands: Mapping[str, Shape]) -> tuple[Document, Document]:
    channels: Document = {}
    operations: Document = {}
    for verb, shape in commands.items():
        channels[f"command.{verb}"] = {
            "address": subjects.command("-", verb).replace("-", "{participant}", 1),
            "title": verb,
            "summary": _sentence(shape),
            "parameters": {"participant": _ref("parameters", "participant")},
            "messages": {verb: _ref("messages", verb)},
        }
        operations[f"command.{verb}"] = {
            "action": "receive",
            "channel": _ref("channels", f"command.{verb}", of=""),
            "summary": _sentence(shape),
            "reply": _replied("answer"),
        }
    channels["answer"] = {
        "address": None,
        "description": "The inbox of the request.",
        "messages": {name: _ref("messages", name) for name in ("receipt", "problem")},
    }
    return channels, operations


def _facts(types: list[str]) -> tuple[Document, Document]:
    facts = {type: _ref("messages", type) for type in types} | {"batch": _ref("messages", "batch")}
    source = {"source": _ref("parameters", "source")}
    channels = {
        "fact": {
            "address": "attorn.fact.{source}",
            "summary": "A fact, or a batch of them, with a receipt for each.",
            "parameters": source,
            "messages": facts,
        },
        "fact.stored": {
            "address": "attorn.in.{source}",
            "summary": "A fact, or a batch of them, stored by JetStream and recorded later.",
            "description": f"JetStream acknowledges what the stream {subjects.INBOX} has taken.",
            "parameters": source,
            "messages": facts,
        },
        "fact.answer": {
            "address": None,
            "description": "The inbox of the request; a batch is answered by an array, in its order.",
            "messages": {name: _ref("messages", name) for name in ("receipt", "problem", "answers")},
        },
        "quarantine": {
            "address": "attorn.quarantine.{source}",
            "summary": "What could not be recorded, with the reason.",
            "description": f"Kept in the stream {subjects.QUARANTINE}.",
            "parameters": source,
            "messages": {"quarantined": _ref("messages", "quarantined")},
        },
    }
    channels["resubmit"] = {
        "address": "attorn.resubmit.{participant}.{number}",
        "summary": "Send again what is in quarantine, in the name of its source: as it was, or mended.",
        "description": (
            "For whoever runs attorn. An empty body is the message as it was; anything else is sent in its place. "
            "That is the same fact, mended: `source`, `id`, `type` and `subject` stay as they were, where they were in "
            "order. What says something of people, processes, policies or sources is mended by the custodian of the "
            "ledger or an admin. A message is taken again once; the same bytes again have the same receipt. "
            "What is recorded says who sent it again, in `resubmittedby`."
        ),
        "parameters": {name: _ref("parameters", name) for name in ("participant", "number")},
        "messages": {name: _ref("messages", name) for name in ("mended",)},
    }
    operations = {
        "resubmit": {
            "action": "receive",
            "channel": _ref("channels", "resubmit", of=""),
            "summary": "Send a message in quarantine to the fact door again.",
            "reply": _replied("fact.answer"),
        },
        "fact": {
            "action": "receive",
            "channel": _ref("channels", "fact", of=""),
            "summary": "Tell that something happened, and be told where it stands on the log.",
            "reply": _replied("fact.answer"),
        },
        "fact.stored": {
            "action": "receive",
            "channel": _ref("channels", "fact.stored", of=""),
            "summary": "Tell that something happened, whether or not anybody is there to record it now.",
        },
        "quarantine": {
            "action": "send",
            "channel": _ref("channels", "quarantine", of=""),
            "summary": "Keep what a source sent and could not be recorded.",
        },
    }
    return channels, operations


def _feeds(types: list[str]) -> tuple[Document, Document]:
    escalations = [type for type in types if _is_escalation(type)]
    stream = f"In the stream {subjects.FEED}, whose sequence numbers are the log's positions; the bytes are the log's."
    channels = {
        "feed": {
            "address": "attorn.feed.{family}.{fact}.{kind}.{id}",
            "summary": "Every event of the log but escalations, in order, by type and stream.",
            "description": stream,
            "parameters": {name: _ref("parameters", name) for name in ("family", "fact", "kind", "id")},
            "messages": {type: _ref("messages", type) for type in types if type not in escalations},
        },
        "escalation": {
            "address": "attorn.escalation.{severity}.{process}.{work}.{fact}",
            "summary": "Every escalation, and all that becomes of it, by severity and process.",
            "description": (
                f"{stream} To miss none: read the view `escalations` with its position, then follow from that "
                "position + 1 with a durable consumer and the filter `attorn.escalation.>`."
            ),
            "parameters": {name: _ref("parameters", name) for name in ("severity", "process", "work", "fact")},
            "messages": {type: _ref("messages", type) for type in escalations},
        },
    }
    operations = {
        "feed": {
            "action": "send",
            "channel": _ref("channels", "feed", of=""),
            "summary": "Send every event on, once and in order.",
        },
        "escalation": {
            "action": "send",
            "channel": _ref("channels", "escalation", of=""),
            "summary": "Send every escalation on, once and in order.",
        },
    }
    return channels, operations


def _questions() -> tuple[Document, Document]:
    channels = {
        "query": {
            "address": "attorn.q.{view}",
            "summary": "A question to the views.",
            "parameters": {"view": _ref("parameters", "view")},
            "messages": {"question": _ref("messages", "question")},
        },
        "query.answer": {
            "address": None,
            "description": "The inbox of the request.",
            "messages": {name: _ref("messages", name) for name in ("result", "problem")},
        },
    }
    operations = {
        "query": {
            "action": "receive",
            "channel": _ref("channels", "query", of=""),
            "summary": "Ask who answers, what is open, what happened.",
            "reply": _replied("query.answer"),
        },
    }
    return channels, operations


def _parameters() -> Document:
    from attorn.services.query.item import QUESTIONS as OF_ITEMS  # all rules of work come with it

    return {
        "fact": {"description": "The third part of the event's type: `delegated` of attorn.work.delegated.v1."},
        "family": {"description": "The second part of the event's type: `work` of attorn.work.delegated.v1."},
        "id": {"description": "The id of the stream of events."},
        "kind": {"description": "The kind of the stream of events.", "enum": list(subjects.KINDS)},
        "number": {"description": "The number of the message in quarantine.", "examples": ["3"]},
        "participant": {"description": "Who asks; the broker lets nobody else publish there.", "examples": ["ana"]},
        "process": {"description": "The process that the work is under, `-` for none.", "examples": ["refunds"]},
        "severity": {
            "description": "How grave it is; `-` where nobody said.",
            "enum": [*SEVERITY_NUMBERS, "-"],
        },
        "source": {"description": "The system that publishes; the broker lets nobody else.", "examples": ["shop"]},
        "view": {"description": "The question.", "enum": [*sorted({*QUESTIONS, *OF_ITEMS}), "status"]},
        "work": {"description": "The work item.", "examples": ["W-1042"]},
    }


def _event_message(shape: Shape) -> Document:
    name: str = shape.type  # type: ignore[attr-defined]
    recorded = recorded_example(shape)
    return {
        "name": name,
        "title": shape.__name__,
        "summary": _sentence(shape),
        "contentType": "application/cloudevents+json",
        "headers": _ref("schemas", "FeedHeaders"),
        "payload": _ref("schemas", f"{shape.__name__}Event"),
        "examples": [
            {"name": "sent", "payload": _builtins(codec.encode(fact_example(shape)))},
            {"name": "recorded", "headers": {"Attorn-Position": "812"}, "payload": _builtins(codec.encode(recorded))},
        ],
    }


def _command_message(shape: Shape) -> Document:
    return {
        "name": shape.verb,  # type: ignore[attr-defined]
        "title": shape.__name__,
        "summary": _sentence(shape),
        "contentType": "application/json",
        "headers": _ref("schemas", "CommandHeaders"),
        "payload": _ref("schemas", shape.__name__),
        "examples": [{"name": "sent", "payload": _command_example(shape)}],
    }


def _other_messages() -> Document:
    receipt = Receipt(
        position=812,
        event_id="0195576e-0c00-7000-8000-000000001042",
        stream="work/W-1042",
        time=datetime(2026, 3, 2, 9, tzinfo=UTC),
    )
    broken = Breach(
        rule="accountable-human", detail="refunds-bot is an agent, and only a person answers", field="data.accountable"
    )
    warned: Receipt = msgspec.structs.replace(receipt, warnings=(broken,))
    refused = Problem(title="refused", status=422, detail=broken.detail, rules=(broken,))
    error = {"Nats-Service-Error": "refused", "Nats-Service-Error-Code": "422"}
    reason = "time: is required, a non-empty string"
    return {
        "answers": {
            "name": "answers",
            "title": "Answers",
            "summary": "An answer to each fact of a batch, in order.",
            "payload": {"type": "array", "items": {"oneOf": [_ref("schemas", "Receipt"), _ref("schemas", "Problem")]}},
            "examples": [
                {
                    "name": "mixed",
                    "payload": [_builtins(msgspec.json.encode(receipt)), _builtins(msgspec.json.encode(refused))],
                }
            ],
        },
        "batch": {
            "name": "batch",
            "title": "Batch",
            "summary": "1 to 1,000 facts, taken in order; each stands for itself.",
            "contentType": "application/cloudevents-batch+json",
            "payload": {"type": "array", "minItems": 1, "maxItems": 1_000, "items": _ref("schemas", "CloudEvent")},
        },
        "problem": {
            "name": "problem",
            "title": "Problem",
            "summary": _sentence(Problem),
            "contentType": "application/problem+json",
            "headers": _ref("schemas", "ProblemHeaders"),
            "payload": _ref("schemas", "Problem"),
            "examples": [{"name": "refused", "headers": error, "payload": _builtins(msgspec.json.encode(refused))}],
        },
        "mended": {
            "name": "mended",
            "title": "Mended",
            "summary": "What is sent in place of a message in quarantine; empty is the message as it was.",
            "contentType": "application/octet-stream",
            "payload": {"description": "A CloudEvent, an array of them, or nothing."},
        },
        "quarantined": {
            "name": "quarantined",
            "title": "Quarantined",
            "summary": "The bytes that a source sent, as they were.",
            "contentType": "application/octet-stream",
            "headers": _ref("schemas", "QuarantineHeaders"),
            "payload": {"description": "Whatever was sent."},
            "examples": [{"name": "unreadable", "headers": {"Attorn-Status": "400", "Attorn-Reason": reason}}],
        },
        "question": {
            "name": "question",
            "title": "Question",
            "summary": "The parameters of the question.",
            "payload": _ref("schemas", "Question"),
            "examples": [{"name": "who", "payload": {"work": "W-1042", "wait_for": 812}}],
        },
        "receipt": {
            "name": "receipt",
            "title": "Receipt",
            "summary": "It is on the log.",
            "payload": _ref("schemas", "Receipt"),
            "examples": [
                {"name": "recorded", "payload": _builtins(msgspec.json.encode(receipt))},
                {"name": "warned", "payload": _builtins(msgspec.json.encode(warned))},
            ],
        },
        "result": {
            "name": "result",
            "title": "Result",
            "summary": "The answer, all of it as of one position of the log.",
            "payload": _ref("schemas", "Result"),
            "examples": [{"name": "counts", "payload": {"position": 812, "result": {"open": 17}}}],
        },
    }


def _schemas() -> Document:
    text = {"type": "string"}
    own: Document = {
        "CloudEvent": _envelope() | {"description": f"A CloudEvent of ours, at most {BODY_BYTES_MAX:,} bytes."},
        "CommandHeaders": {
            "type": "object",
            "properties": {
                "Nats-Msg-Id": {
                    "type": "string",
                    "pattern": TOKEN,
                    "description": "The command's id: asking again with it carries the command out once.",
                },
                "traceparent": {**text, "description": "W3C Trace Context; it goes into the event."},
                "Attorn-Within": {
                    "type": "string",
                    "pattern": r"^[0-9]{1,6}(\.[0-9]{1,9})?$",
                    "description": "For how many seconds its author waits, above 0: nothing is tried for longer.",
                    "examples": ["2.5"],
                },
            },
        },
        "FeedHeaders": {
            "type": "object",
            "properties": {"Attorn-Position": {**text, "description": "On the feed: the event's place in the log."}},
        },
        "ProblemHeaders": {
            "type": "object",
            "properties": {
                "Nats-Service-Error": {**text, "description": "The title of the problem."},
                "Nats-Service-Error-Code": {**text, "description": "Its status."},
            },
        },
        "QuarantineHeaders": {
            "type": "object",
            "properties": {
                "Attorn-Status": {**text, "description": "The status of the problem that was answered."},
                "Attorn-Reason": {**text, "description": "Why it was not recorded."},
                "Attorn-Digest": {**text, "description": "sha256: and the digest of the bytes."},
                "Attorn-Field": {**text, "description": "The field that is wrong, where it is one."},
            },
        },
        "Question": {
            "type": "object",
            "description": "What the question asks for is said by the question.",
            "properties": {
                "wait_for": {
                    "type": ["integer", "null"],
                    "minimum": 0,
                    "description": "Wait until the views are here: who has a receipt reads what they wrote.",
                },
            },
        },
        "Result": {
            "type": "object",
            "properties": {"position": {"type": "integer", "minimum": 0}, "result": {}},
            "required": ["position", "result"],
        },
    }
    for shape in EVENTS:
        own[f"{shape.__name__}Event"] = {
            "description": _description(shape),
            "allOf": [
                _ref("schemas", "CloudEvent"),
                {"properties": {"type": {"const": shape.type}, "data": _ref("schemas", shape.__name__)}},
            ],
        }
    own |= _definitions([*EVENTS, *COMMANDS, Receipt, Problem], "#/components/schemas/{name}")
    return {name: own[name] for name in sorted(own)}


def _ref(section: str, name: str, of: str = "components/") -> Document:
    return {"$ref": f"#/{of}{section}/{name}"}


def _replied(channel: str) -> Document:
    return {"channel": _ref("channels", channel, of="")}


def _is_escalation(type: str) -> bool:
    family, fact = subjects.family_and_fact(type)
    return family == "escalation" or (family, fact) == ("work", "escalated")


# ---- tables in Markdown

NOTICE: Final = "<!-- made by tools/generate.py from the contracts; change those -->\n\n"


def events_table() -> str:
    """Every type of event by the kind of stream that it belongs in, with what it says."""
    lines = [
        f"{NOTICE}# Events\n",
        f"{len(EVENTS)} types of events, by the kind of stream that they belong in. A stream's events are numbered",
        "from 1 without gaps, and its rules see all of them. The schema of each, with an example, is in",
        "`contracts/attorn/contracts/schemas/<type>.json`.",
    ]
    for one in subjects.KINDS:
        lines += ["", f"## {one}/&lt;id&gt;", "", _KIND_SENTENCES[one], "", "| type | says |", "|---|---|"]
        lines += [
            f"| `{shape.type}` | {_cell(_description(shape))} |" for shape in EVENTS if subjects.kind(shape.type) == one
        ]
    return "\n".join(lines) + "\n"


def rules_table() -> str:
    """Every rule with its code, the invariant behind it, and its sentence; and who may move work."""
    # Whoever asks for a schema has no need of the rules themselves.
    from attorn.services.work.standing import MOVERS

    lines = [
        f"{NOTICE}# Rules\n",
        "Each rule is checked once, on events. At the command door a breach refuses, and the refusal names the code;",
        "at the fact door what happened is recorded, and the breach becomes a finding with the id `<code>@<position>`.",
        f"Nothing waits for {', '.join(f'`{code}`' for code in sorted(OBSERVED))}: these are findings at both doors.",
        "",
        "| code | invariant | rule |",
        "|---|---|---|",
    ]
    lines += [f"| `{rule.code}` | {rule.invariant or '–'} | {_cell(rule.sentence)} |" for rule in RULES.values()]
    moved: dict[str, list[str]] = {}
    for shape, circle in MOVERS.items():
        moved.setdefault(circle.who, []).append(f"`{_short(shape)}`")
    lines += [MOVING, *(f"| {who} | {', '.join(facts)} |" for who, facts in moved.items()), SUSPENDED]
    return "\n".join(lines) + "\n"


def _short(shape: Any) -> str:
    return str(shape.type).removeprefix("attorn.").rpartition(".v")[0]


MOVING: Final = """
## Who may move work

Work is somebody's. Of people, only these cause what is in the table: others are refused, and of what is reported to be
done by others (`by`), `work-authority` is found. Of agents, their delegations say it (`undelegated-execution`).

*Over the work* is whoever answers for it, who stands in for them while they are away, and whom they report to, all the
way up; the owner of its process, the custodian of the ledger, and its admins. *Carries it out*: the executor, or one of
the team that is to; to whom it is delegated; the sponsor of the agent or system that does.

| who | what |
|---|---|
| anybody | `note.added`, `context.shared`, `execution.guided`, `execution.progressed`, `work.escalated`, \
`review.requested`, `decision.requested`, `recommendation.made` |"""

SUSPENDED: Final = """
Of a clarification, what holds work within bounds (scope, acceptance criteria, risk, who may decide, candidates, method)
is for who is over it. What has a rule of its own goes by that: to begin and to decline (`executor-only`), to delegate
(`delegation-chain`), to hand over (`handover-open`) and to answer for it (`accountability-chain`); reviews, decisions,
answers and escalations are for whom they are asked of, or who has authority over the work.

## Who is suspended

Until somebody else resumes them they do nothing: no command of theirs is carried out, neither a note nor an
acceptance, and what they report is recorded and found (`actor-suspended`). What they were entrusted with rests: nor
does anybody act in their name (`delegation-violated`). Nobody gives them anything: to delegate, assign, offer or hand
over work to them is refused. Left to them is to stop, by reporting that an execution of theirs failed or was aborted,
and to ask for help, by escalating. With a scope, such as `process/refunds`, all of this is so in the work of that
process."""


# ---- words


def _by_name(shapes: Iterable[Any]) -> list[Any]:
    return sorted(shapes, key=lambda shape: getattr(shape, "type", None) or shape.verb)


def _unwrapped(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def _description(shape: Shape) -> str:
    return _unwrapped(shape.__doc__ or "")


def _sentence(shape: Shape) -> str:
    return _description(shape).partition("\n\n")[0]


def _cell(text: str) -> str:
    return text.replace("\n\n", " ").replace("|", "\\|")


def _builtins(body: bytes) -> Any:
    return msgspec.json.decode(body)


def _command_example(shape: Shape) -> Any:
    return _builtins(msgspec.json.encode(COMMAND_EXAMPLES[shape]))  # type: ignore[index]


assert set(SERVICE_ATTRIBUTES) <= set(_envelope()["properties"]), "an attribute of the service that no schema names"
