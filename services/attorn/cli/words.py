"""What is stored, as a person says it: lengths of time, the rules of a policy, the bounds of a delegation."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from attorn.cli.errors import visible
from attorn.cli.output import shown


def in_words(text: str) -> str:
    """`15 min` of `PT900S`, and of whatever else says how long; other text as it is."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(\d+)(?:\.\d+)?S)?", text)
    if found is None or text == "P":
        return text
    return seconds(int(found[1] or 0) * 86_400 + int(found[2] or 0))


def seconds(count: float) -> str:
    """`1 h 30 min` of 5400."""
    hours, rest = divmod(round(count), 3600)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def spelled(rules: Any) -> Any:
    """Rules as they are stored, with names in words and every length of time as a person reads it."""
    match rules:
        case dict():
            return {name.replace("_", " "): spelled(each) for name, each in rules.items()}
        case list():
            return [spelled(each) for each in rules]
        case str():
            return in_words(rules)
        case _:
            return rules


def bounds(terms: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a delegation allows, a name and a sentence for each bound that there is."""
    yield "may do", shown(terms.get("activities")) or "anything"
    yield "may use", shown(terms.get("resource_keys"))
    yield "may not touch", shown(terms.get("exclusions"))
    for condition in terms.get("conditions") or ():
        otherwise = condition.get("on_violation", "refuse")
        more = "" if otherwise == "refuse" else f", else {otherwise}"
        yield f"only if ({condition['id']})", visible(condition["expr"]) + more
    yield "asks when", "; ".join(map(visible, terms.get("escalate_when") or ()))
    yield "delivers", shown([each.get("name") for each in terms.get("expected_outputs") or ()])
    yield "at most", amounts(terms.get("budget") or {})
    uses = terms.get("max_uses")
    yield "to be used", f"{uses:,} times at most" if uses else ""
    yield "from", shown(terms.get("valid_from"), "time")
    yield "until", shown(terms.get("valid_until"), "time")
    depth = terms.get("max_depth")
    yield "may pass on", ("yes" + (f", {depth} deep" if depth else "")) if terms.get("may_subdelegate") else ""
    yield "autonomy", shown(terms.get("autonomy", "suggest")).replace("_", " ")
    yield "instructions", shown((terms.get("instructions") or {}).get("uri"))
    version = terms.get("process_version")
    yield "process", f"version {version}" if version else ""


def amounts(spent: Mapping[str, Any], *, all_of_it: bool = False) -> str:
    """`5 actions, 2.50 EUR, 1 h` of a budget or of what was used up; of nothing only `all_of_it` speaks."""
    found = [
        f"{spent[name]:,} {name[:-1] if spent[name] == 1 else name}"
        for name in ("executions", "actions", "tokens")
        if spent.get(name) is not None and (spent[name] or all_of_it)
    ]
    money = spent.get("money") or []
    found += [f"{each['amount']} {each['currency']}" for each in (money if isinstance(money, list) else [money])]
    if spent.get("elapsed"):
        found.append(in_words(spent["elapsed"]))
    elif spent.get("elapsed_s"):
        found.append(seconds(spent["elapsed_s"]))
    return ", ".join(found)
