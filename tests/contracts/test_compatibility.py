"""The gate: a change to the contracts that somebody could not read is named, and which way it breaks."""

import copy
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import generator

ROOT = Path(__file__).parents[2]
TYPE = "attorn.work.defined.v1"


def load() -> ModuleType:
    generator.load()  # it puts the tools on the path
    spec = importlib.util.spec_from_file_location("attorn_compatibility", ROOT / "tools" / "compatibility.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gate = load()
NOW: dict[str, Any] = gate.shapes()


def changed(path: str, change: Any) -> list[tuple[str, str]]:
    """The breaks that a change at a place of the definition of work makes: which way, and the field."""
    then, now = copy.deepcopy(NOW), copy.deepcopy(NOW)
    *names, last = path.split("/") if path else [""]
    place = now[TYPE]
    for name in names:
        place = place[name]
    change(place, last)
    return [(found.way, found.field) for found in gate.breaks(then, now)]


def put(value: Any) -> Any:
    def change(place: Any, name: str) -> None:
        place[name] = value

    return change


def drop(place: Any, name: str) -> None:
    place.pop(name)


def add(value: Any) -> Any:
    def change(place: Any, name: str) -> None:
        place[name] = sorted([*place[name], value])

    return change


def remove(value: Any) -> Any:
    def change(place: Any, name: str) -> None:
        place[name] = [each for each in place[name] if each != value]

    return change


def test_nothing_that_is_committed_breaks_the_snapshot() -> None:
    assert gate.breaks(gate.read(ROOT / gate.SNAPSHOT), NOW) == []


def test_the_snapshot_is_what_the_contracts_say() -> None:
    assert gate.read(ROOT / gate.SNAPSHOT) == json.loads(json.dumps(NOW)), "python tools/compatibility.py --accept"


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        ("properties/title", drop, [("backward", "title"), ("forward", "title")]),
        ("properties/due_at", drop, [("backward", "due_at")]),
        ("required", add("due_at"), [("backward", "due_at")]),
        ("required", remove("title"), [("forward", "title")]),
        ("properties/title/maxLength", put(100), [("backward", "title")]),
        ("properties/title/maxLength", put(300), [("forward", "title")]),
        ("properties/title/minLength", put(2), [("backward", "title")]),
        ("properties/title/maxLength", drop, [("forward", "title")]),
        ("properties/title/type", put("integer"), [("backward", "title"), ("forward", "title")]),
        ("properties/title/type", put(["string", "null"]), [("forward", "title")]),
        ("properties/priority/enum", add("urgent"), [("forward", "priority")]),
        ("properties/priority/enum", remove("low"), [("backward", "priority")]),
        ("properties/accountable/pattern", put("^[a-z]+$"), [("backward", "accountable"), ("forward", "accountable")]),
        ("properties/acceptance_criteria/items/properties/text", drop,
         [("backward", "acceptance_criteria[*].text"), ("forward", "acceptance_criteria[*].text")]),
        ("properties/acceptance_criteria/items/properties/text/maxLength", put(10),
         [("backward", "acceptance_criteria[*].text")]),
    ],
    ids=[
        "a required field is gone", "an optional field is gone", "a field is required now", "a field may be left out",
        "a text is shorter", "a text may be longer", "a text must be longer", "a limit is gone", "another type",
        "null is allowed", "a word more", "a word less", "another pattern", "a field in a list is gone",
        "a text in a list is shorter",
    ],
)  # fmt: skip
def test_a_planted_break_is_named_with_its_field_and_its_way(
    path: str, change: Any, expected: list[tuple[str, str]]
) -> None:
    assert changed(path, change) == expected


def test_what_everybody_can_read_is_no_break() -> None:
    assert changed("properties/colour", put({"type": "string", "default": ""})) == []
    now = NOW | {"attorn.work.admired.v1": {"type": "object"}}
    assert gate.breaks(NOW, now) == []


def test_a_type_that_is_gone_is_a_break() -> None:
    now = {name: schema for name, schema in NOW.items() if name != TYPE}
    [found] = gate.breaks(NOW, now)
    assert str(found) == f"backward break: {TYPE}: the message is gone; what is stored under it is not read any more"


def test_an_optional_reference_becomes_required_is_seen_through_alternatives() -> None:
    broken = changed("properties/due_at/anyOf", put([{"type": "string", "format": "date-time"}]))
    assert ("backward", "due_at") in broken


def test_prose_may_be_written_better() -> None:
    assert '"description"' not in gate.text({TYPE: NOW[TYPE]})
    # A field may be called as prose is in a schema.
    assert "title" in NOW[TYPE]["properties"]


def test_the_gate_is_part_of_the_check_and_of_writing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate = generator.load()
    files = generate.generated()
    assert gate.parsed(files[gate.SNAPSHOT]).keys() == NOW.keys()
    # A snapshot from before is a file that differs, which the check names.
    (tmp_path / gate.SNAPSHOT).parent.mkdir(parents=True)
    (tmp_path / gate.SNAPSHOT).write_text(gate.text({TYPE: NOW[TYPE]}))
    found = list(generate.differences(tmp_path, {gate.SNAPSHOT: files[gate.SNAPSHOT]}))
    assert found == [f"{gate.SNAPSHOT} is not what the contracts say"]
