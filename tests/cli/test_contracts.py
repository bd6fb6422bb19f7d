"""`attorn contracts` and `attorn quarantine`: what is wrong with events, told before and after they were sent."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from attorn.cli.errors import Exit
from attorn.cli.main import main
from attorn.contracts import codec
from attorn.contracts.messages import COMMAND_BY_VERB, EVENT_BY_TYPE
from attorn.contracts.upcast import LedgerPayloadErasedV1
from attorn.services import documents
from cli.instance import Run

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "attorn.note.added.v1",
    "subject": "work/W-1",
    "time": "2026-11-21T12:00:00Z",
    "data": {"text": "fine"},
}
DEFINED = GOOD | {"id": "d", "type": "attorn.work.defined.v1", "data": {"title": "Refund", "accountable": "ana"}}


def line(**changes: Any) -> str:
    return json.dumps(GOOD | changes)


class Judged:
    """What `attorn contracts validate` says of a file."""

    def __init__(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.capsys = tmp_path / "events", capsys
        # Nothing is there to connect to.
        monkeypatch.setenv("ATTORN_NATS_URL", "nats://127.0.0.1:1")

    def __call__(self, content: str | bytes, code: int, *more: str) -> str:
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.capsys.readouterr()
        assert main([*more, "contracts", "validate", str(self.path)]) == code
        return self.capsys.readouterr().out

    def remarks(self, content: str | bytes, code: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self(content, code, "-o", "json"))
        return found


@pytest.fixture
def judged(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Judged:
    return Judged(tmp_path, capsys, monkeypatch)


@pytest.mark.requirement("000-22")
def test_a_foreign_team_is_told_line_by_line_what_is_wrong_with_their_events(judged: Judged) -> None:
    lines = [
        line(),
        json.dumps(DEFINED | {"data": {"title": "Refund"}}),
        "",
        line(id="3", time="2026-11-21T12:00:00"),
        line(id="4", data={"text": "x", "mood": "calm"}),
        line(id="5", type="attorn.note.aded.v1"),
        "{broken",
        json.dumps(DEFINED | {"id": "6", "data": {"title": "Refund", "accountable": "ana b"}}),
        line(data={"text": "the same id, other words"}),
    ]
    told = judged("\n".join(lines), Exit.CHECK_FAILED).splitlines()
    assert told == [
        'line 2: data.accountable is required (for example "ana")',
        "line 4: time is an instant with its offset, as in 2026-03-02T09:00:00Z (RFC 3339) "
        '(for example "2026-03-02T09:00:00Z")',
        "line 5: data.mood is not a field of attorn.note.added.v1; the schema lists those that are",
        "line 6: type attorn.note.aded.v1 is no type of event that attorn knows (did you mean attorn.note.added.v1?)",
        "line 7: not JSON at line 1, column 2: Expecting property name enclosed in double quotes",
        "line 8: data.accountable an identifier is 1 to 64 letters, digits, '-' or '_' (for example \"ana\")",
        "line 9: id 1 stands on line 1 already, with other content (an id is used once by its source, for ever)",
    ]


def test_what_is_in_order_is_said_in_a_word(judged: Judged, capsys: pytest.CaptureFixture[str]) -> None:
    judged.path.write_text(f"{line()}\n{line(id='2')}\n{line(id='2')}\n")
    assert main(["contracts", "validate", str(judged.path)]) == Exit.OK
    out, err = capsys.readouterr()
    assert (out, err) == ("", "3 events: 3 in order, 0 not\n")


def test_an_array_and_a_single_event_are_taken_apart_by_their_lines(judged: Judged) -> None:
    array = "[\n" + line() + ",\n" + line(id="2", subject="work/W 1") + "\n]"
    [remark] = judged.remarks(array, Exit.CHECK_FAILED)
    assert (remark["line"], remark["id"], remark["field"], remark["wrong"]) == (3, "2", "subject", True)
    [remark] = judged.remarks("\n\n" + json.dumps(GOOD | {"id": ""}, indent=2), Exit.CHECK_FAILED)
    assert (remark["line"], remark["field"]) == (3, "id")
    [remark] = judged.remarks("[" + line() + ",", Exit.CHECK_FAILED)
    assert (remark["line"], remark["wrong"]) == (1, True)


def test_what_is_odd_is_said_and_is_no_fault(judged: Judged) -> None:
    old = documents.fact_example(LedgerPayloadErasedV1)
    lines = [line(type="com.shop.sold"), line(id="2", subject="process/refunds"), codec.encode(old).decode()]
    remarks = judged.remarks("\n".join(lines), Exit.OK)
    assert [(remark["line"], remark["field"], remark["wrong"]) for remark in remarks] == [
        (1, "type", False),
        (2, "subject", False),
        (3, "type", False),
    ]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"7", b'"x"', b"null", b"\x00"])
def test_whatever_is_in_the_file_is_judged(judged: Judged, content: bytes) -> None:
    assert judged.remarks(content, Exit.CHECK_FAILED)[0]["reason"]


def test_a_file_with_nothing_in_it_is_misused(judged: Judged) -> None:
    judged(" \n", Exit.USAGE)


def test_every_example_is_in_order(judged: Judged) -> None:
    events = [codec.encode(documents.fact_example(shape)) for shape in EVENT_BY_TYPE.values()]
    numbered = [event.replace(b"001042", b"%06d" % number) for number, event in enumerate(events)]
    assert judged.remarks(b"\n".join(numbered), Exit.OK) == []


def test_the_contracts_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*argv: str) -> str:
        capsys.readouterr()
        assert main(argv) == 0
        return capsys.readouterr().out

    assert said("-o", "id", "contracts", "ls").split() == list(EVENT_BY_TYPE)
    assert said("-o", "id", "contracts", "ls", "--commands").split() == list(COMMAND_BY_VERB)
    schema = json.loads(said("contracts", "schema", "attorn.work.executed.v1"))
    assert schema == documents.event_schemas()["attorn.work.executed.v1"]
    assert json.loads(said("contracts", "schema", "work.define"))["title"] == "DefineWork"
    assert yaml.safe_load(said("contracts", "asyncapi")) == documents.asyncapi()
    assert json.loads(said("-o", "json", "contracts", "asyncapi")) == documents.asyncapi()
    assert main(["contracts", "schema", "attorn.work.define.v1"]) == Exit.NOT_FOUND
    assert "attorn.work.defined.v1 is the nearest" in capsys.readouterr().err


@pytest.mark.usefixtures("cast")
class TestQuarantine:
    def test_what_was_refused_is_listed_shown_mended_and_sent_again(
        self, given: Run, done: Run, tmp_path: Path
    ) -> None:
        bad = json.dumps(GOOD | {"id": "q-1", "subject": "work/Q-1", "data": {"text": 7}})
        assert given("facts", "publish", "-", "--source", "qshop", stdin=bad).code == Exit.USAGE
        [item] = done("-o", "json", "quarantine", "ls", "--source", "qshop").json
        assert (item["source"], item["field"], item["status"]) == ("qshop", "data.text", "400")
        number = str(item["number"])
        assert json.loads(done("-o", "json", "quarantine", "show", number).json["body"]) == json.loads(bad)
        assert "data.text" in done("quarantine", "show", number).out

        assert given("quarantine", "resubmit", number).code == Exit.USAGE
        mended = tmp_path / "mended.json"
        mended.write_text(bad.replace("7}", '"seven"}'))
        assert "recorded in work/Q-1" in done("quarantine", "resubmit", number, "--fixed", str(mended)).out
        [recorded] = done("-o", "json", "events", "ls", "--stream", "work/Q-1").json
        said = recorded["event"]
        assert (said["authid"], said["resubmittedby"], said["source"]) == ("qshop", "root", GOOD["source"])
        assert "sent again by" in done("events", "get", str(recorded["position"])).out
        assert done("quarantine", "resubmit", number, "--fixed", str(mended)).code == 0
        [item] = done("-o", "json", "quarantine", "ls", "--source", "qshop").json
        assert item["resubmitted_by"] == "root"
        assert "resubmitted_by" in done("quarantine", "show", number).out
        # Once: not as something else. What marks it is no message.
        mended.write_text(bad.replace("7}", '"eight"}'))
        again = given("quarantine", "resubmit", number, "--fixed", str(mended))
        assert again.code == Exit.CONFLICT and f"message {number} was taken again before, as root sent it" in again.err
        assert all("." not in each["source"] for each in done("-o", "json", "quarantine", "ls").json)
        assert given("quarantine", "show", str(int(number) + 1)).code == Exit.NOT_FOUND
        assert len(done("-o", "id", "quarantine", "ls", "--source", "qshop").lines) == 1

    def test_what_is_not_there_is_not_found(self, given: Run) -> None:
        assert given("quarantine", "show", "999999").code == Exit.NOT_FOUND
        assert given("quarantine", "resubmit", "999999").code == Exit.NOT_FOUND
        assert given("quarantine", "ls", "--source", "nobody-at-all").code == Exit.OK
