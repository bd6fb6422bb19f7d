"""Tables for people: they fit the terminal, ids stay whole, and what strangers wrote stays text."""

from datetime import UTC, datetime

import pytest

from attorn.cli.errors import Failed, headline, visible
from attorn.cli.output import Column, facts, shown, table
from attorn.cli.wrapping import fold, wrapped

COLUMNS = (
    Column("WORK", "work", "id"),
    Column("DUE", "due", "time"),
    Column("COUNT", "count", "number"),
    Column("TITLE", "title"),
)
LONG = "W-" + "x" * 62


def lines(rows: list[dict[str, object]], width: int | None) -> list[str]:
    return list(table([[column.value(row) for column in COLUMNS] for row in rows], COLUMNS, width))


def test_a_narrow_table_stays_on_its_lines() -> None:
    assert lines([{"work": "W-1", "count": 12345, "title": "Refund"}], 80) == [
        "WORK   COUNT  TITLE",
        "W-1   12,345  Refund",
    ]


def test_a_wide_text_is_folded_between_words() -> None:
    found = lines([{"work": "W-1", "title": "one two three four five six seven eight nine ten"}], 30)
    assert found[1].startswith("W-1   one two three")
    assert max(map(len, found)) <= 30
    assert " ".join(line[6:].strip() for line in found[1:]) == "one two three four five six seven eight nine ten"


def test_a_text_without_room_beside_the_rest_stands_below_it() -> None:
    title = "something that is to be done by then, and takes more words to say"
    found = lines([{"work": "W" * 40, "due": "2026-03-01T12:00:01Z", "title": title}], 80)
    assert found == [f"WORK{' ' * 38}DUE", "  TITLE", f"{'W' * 40}  2026-03-01 12:00:01Z", f"  {title}"]
    # Where it takes fewer lines beside, it stays there.
    assert len(lines([{"work": "W" * 40, "due": "2026-03-01T12:00:01Z", "title": "a short one, in two"}] * 9, 80)) == 19


def test_several_texts_below_are_named() -> None:
    columns = (Column("ID", "id", "id"), Column("FIRST", "a"), Column("SECOND", "b"))
    assert list(table([[LONG, "one two three", "four five six"], ["W-2", "", "x"]], columns, 80)) == [
        "ID",
        LONG,
        "  FIRST   one two three",
        "  SECOND  four five six",
        "W-2",
        "  SECOND  x",
    ]


def test_a_time_is_folded_where_even_that_is_too_wide() -> None:
    found = lines([{"work": "W" * 66, "due": "2026-03-01T12:00:01Z", "title": "something"}], 80)
    assert found[2].split()[1] == "2026-03-01" and found[3].split() == ["12:00:01Z"]
    assert max(map(len, found)) <= 80


def test_a_title_is_folded_before_a_column_goes() -> None:
    columns = (Column("PERSON", "person", "id"), *(Column("ANSWERS FOR", "n", "number") for _ in range(3)))
    assert list(table([["P" * 20, "1", "2", "3"]], columns, 50)) == [
        "PERSON                ANSWERS  ANSWERS  ANSWERS",
        "                          FOR      FOR      FOR",
        "PPPPPPPPPPPPPPPPPPPP        1        2        3",
    ]


def test_a_list_of_ids_is_folded_between_them() -> None:
    columns = (Column("ID", "id", "id"), Column("MEMBERS", "members", "id"))
    assert list(table([["team", "ana, ben, carla"]], columns, 20)) == [
        "ID    MEMBERS",
        "team  ana,",
        "      ben,",
        "      carla",
    ]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("short", ["short"]),
        ("one two three four five", ["one two three four", "    five"]),
        ("  rule  one two three", ["  rule  one two", "      three"]),
        ("an-id-that-is-longer-than-a-line", ["an-id-that-is-longer-than-a-line"]),
        ("\x1b[1mone two three four\x1b[0m", ["\x1b[1mone two three four\x1b[0m"]),
    ],
)
def test_a_line_goes_on_below_its_beginning(line: str, parts: list[str]) -> None:
    assert list(wrapped(line, 20)) == parts
    assert list(wrapped(line, None)) == [line]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_an_id_is_never_cut_and_never_broken(width: int) -> None:
    found = lines([{"work": LONG, "due": "2026-03-01T12:00:00Z", "title": "word " * 40}], width)
    assert any(LONG in line for line in found)
    assert all(len(line) <= width for line in found if LONG not in line)


def test_two_long_ids_stand_below_each_other() -> None:
    columns = (Column("WORK", "work", "id"), Column("ANSWERS", "who", "id"))
    assert list(table([[LONG, LONG]], columns, 80)) == [f"WORK     {LONG}", f"ANSWERS  {LONG}"]


def test_a_table_in_a_file_is_not_folded() -> None:
    assert len(lines([{"work": LONG, "title": "word " * 100}], None)) == 2


def test_a_column_without_a_value_is_left_out() -> None:
    assert lines([{"work": "W-1", "title": "x"}], 80)[0] == "WORK  TITLE"


def test_wide_characters_take_two_cells() -> None:
    found = lines([{"work": "W-1", "title": "返金 " * 20}, {"work": "W-2", "title": "x"}], 40)
    assert all(len(line) <= 40 for line in found) and found[-1].startswith("W-2   x")
    assert fold("返金返金", 4) == ["返金", "返金"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ""),
        (True, "yes"),
        (["a", "b"], "a, b"),
        ({"id": "four-eyes", "version": 3}, "four-eyes v3"),
        (0.123456, "0.123"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\nlines", "two lines"),
        ("a\x00b\x9bc", "a\\x00b\\x9bc"),
        ("Ümläut 返金", "Ümläut 返金"),
    ],
)
def test_values_are_shown_and_drive_no_terminal(value: object, said: str) -> None:
    assert shown(value) == said


def test_a_time_is_shown_without_what_says_nothing() -> None:
    assert shown("2026-03-01T12:00:00Z", "time") == "2026-03-01 12:00Z"
    assert shown("2026-03-01T12:00:05.123456+01:00", "time") == "2026-03-01 12:00:05+01:00"
    assert shown(datetime(2026, 3, 1, 12, 0, 5, 123456, tzinfo=UTC)) == "2026-03-01 12:00:05Z"


def test_facts_leave_out_what_is_empty() -> None:
    assert list(facts([("title", "Refund"), ("due", ""), ("process", "refunds v1")])) == [
        "title    Refund",
        "process  refunds v1",
    ]


def test_an_error_is_a_sentence_and_a_hint() -> None:
    assert headline(Failed("work/W-9 is not on the log", hint="`attorn work ls`")) == (
        "attorn: work/W-9 is not on the log. Hint: `attorn work ls`."
    )
    assert headline(Failed("what?")) == "attorn: what?"
    assert visible("a\r\nb") == "a  b"
