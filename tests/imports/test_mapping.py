"""A mapping is data, and strict: what is wrong in one is said with its key, before any log is read."""

from pathlib import Path

import pytest

from attorn.services.imports.mapping import BadMapping, load, parse, shipped

RULE = '[[rules]]\nwhen = { "lifecycle:transition" = "start" }\nmeans = "started"\n'


def refusal(text: str) -> BadMapping:
    with pytest.raises(BadMapping) as refused:
        parse(text.encode(), "mine.toml")
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("mapping mine.toml")
    assert refused.value.hint in str(refused.value)
    return refused.value


@pytest.mark.parametrize("name", ["bpic2013-incidents", "default"])
def test_a_mapping_that_comes_along_is_valid(name: str) -> None:
    assert name in shipped()
    assert load(name).rules


def test_a_file_is_a_mapping_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'source = "tickets"\n{RULE}')
    assert load(str(path)).source == "tickets"


def test_an_unknown_mapping_is_told_which_there_are() -> None:
    with pytest.raises(BadMapping, match="bpic2013-incidents, default"):
        load("bpic2031")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", None),
        ("rules = []", "rules"),
        ("source = ", None),
        (f'sauce = "x"\n{RULE}', None),
        (f'source = "a b"\n{RULE}', "source"),
        (f'[resource]\nteem = "x"\n{RULE}', "resource"),
        (f'[resource]\nhandover = "often"\n{RULE}', "resource.handover"),
        (f'[item]\nid = "W"\n{RULE}', "item.id"),
        (f"[lines]\n2nd = 1\n{RULE}", "lines"),
        (f'[parties."a b"]\nname = "x"\n{RULE}', "parties.a b"),
        (RULE.replace("started", "begun"), "rules[0].means"),
        (RULE.replace("started", "waits"), "rules[0].party"),
        (f'{RULE}party = "user"\n', "rules[0].party"),
        (RULE.replace("started", "waits") + 'party = "user"\n', "rules[0].party"),
        ('[[rules]]\nwhen = {}\nmeans = "note"\n', "rules[0].when"),
        (f'otherwise = "waits"\n{RULE}', "otherwise"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(text: str, place: str | None) -> None:
    found = refusal(text)
    assert found.place == place or (found.place or "").startswith(f"{place}[")


def test_the_name_of_an_unknown_key_is_said() -> None:
    assert "`teem`" in refusal(f'[resource]\nteem = "x"\n{RULE}').reason
