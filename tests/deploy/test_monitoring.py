"""The dashboard and the alerts: what they ask for is what the processes serve, and promtool takes and runs all of it.

promtool comes with Prometheus (Debian: apt-get install prometheus). Where it is not there, those tests say so and are
left out; that every name and label is one of ours is held against what we serve everywhere.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics import MetricWrapperBase

from attorn.services import metrics

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
ALERTS: Final = DEPLOY / "prometheus" / "alerts.yaml"
RULES: Final = {
    rule["alert"]: rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
}
PANELS: Final = json.loads((DEPLOY / "grafana" / "attorn.json").read_text())["panels"]
ASKED: Final = {
    **{
        f"{panel['title']}: {target['legendFormat']}": target["expr"] for panel in PANELS for target in panel["targets"]
    },
    **{name: rule["expr"] for name, rule in RULES.items()},
}
"""Every expression that there is, by where it stands."""

SCRAPED: Final = ("job", "instance", "process")
"""The labels that the scrape configuration adds."""

SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def served() -> dict[str, frozenset[str]]:
    """The name of every series that the processes serve, with its labels."""
    found: dict[str, frozenset[str]] = {"up": frozenset()}
    for family in metrics.REGISTRY.collect():
        if not family.name.startswith("attorn_"):
            found |= {sample.name: frozenset(sample.labels) for sample in family.samples}
    # What has labels has no samples before something is counted.
    for collector in set(metrics.REGISTRY._names_to_collectors.values()):
        if isinstance(collector, MetricWrapperBase):
            for suffix in SUFFIXES[collector._type or ""]:
                le = ("le",) if suffix == "_bucket" else ()
                found[collector._name + suffix] = frozenset((*collector._labelnames, *le))
    return found


SERVED: Final = served()


@pytest.mark.parametrize("place", ASKED)
def test_what_is_asked_for_is_served_with_the_labels_that_are_named(place: str) -> None:
    expression = ASKED[place]
    names = set(re.findall(r"\b(?:attorn|process|python)_[a-z_]+|\bup\b", expression))
    assert names and names <= SERVED.keys(), names - SERVED.keys()
    grouped = [re.split(r",\s*", each) for each in re.findall(r"\bby \(([^)]*)\)", expression)]
    labels = {label for group in grouped for label in group} | set(
        re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\"", expression)
    )
    known = frozenset(SCRAPED).union(*(SERVED[name] for name in names))
    assert labels <= known, labels - known
    said = str(RULES[place]["annotations"]) if place in RULES else place
    told = set(re.findall(r"\$labels\.([a-z_]+)|\{\{([a-z_]+)\}\}", said))
    told_labels = {label for pair in told for label in pair if label}
    assert told_labels <= (set(*grouped) if grouped else known), told_labels


# ---- by promtool


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: the alerts and the dashboard are not run by Prometheus' own tool")
    return found


def ran(*words: str | Path, stdin: bytes = b"") -> str:
    done = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
    said = done.stdout.decode()
    assert done.returncode == 0, said
    return said


def test_prometheus_takes_the_configuration_and_what_we_serve(promtool: str) -> None:
    assert f"{len(RULES)} rules found" in ran(promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yaml")
    assert ran(promtool, "check", "metrics", stdin=generate_latest(metrics.REGISTRY)) == ""


def one_of_each() -> Iterator[str]:
    """A series of every name, from each process, for each value that a label of an expression may have."""
    values = {"outcome": ("recorded", "unavailable"), "le": ("0.5", "1.0", "+Inf")}
    for name, labels in SERVED.items():
        for process in ("services", "projector"):
            series = [{"job": "attorn", "instance": "127.0.0.1:9464", "process": process}]
            for label in sorted(labels):
                series = [each | {label: value} for each in series for value in values.get(label, ("x",))]
            for each in series:
                yield f"{name}{{{','.join(f'{label}={json.dumps(value)}' for label, value in each.items())}}}"


def test_every_panel_shows_something_of_what_we_serve(promtool: str, tmp_path: Path) -> None:
    file = tmp_path / "panels.json"
    dashboard = [target["expr"] for panel in PANELS for target in panel["targets"]]
    seen = [
        {"expr": f"count({expr}) > bool 0", "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": 1}]}
        for expr in dashboard
    ]
    given = [{"series": series, "values": "0+1x60"} for series in one_of_each()]
    tests = [{"interval": "15s", "input_series": given, "promql_expr_test": seen}]
    file.write_text(json.dumps({"evaluation_interval": "15s", "tests": tests}))
    assert "SUCCESS" in ran(promtool, "test", "rules", file)


class Case(NamedTuple):
    """What is well, what is wrong, in promtool's notation every 15 s, and what is said then, ten minutes later."""

    series: Mapping[str, tuple[str, str]]
    labels: Mapping[str, str]
    summary: str


HERE: Final = {"job": "attorn", "instance": "127.0.0.1:9464", "process": "services"}
PLACE: Final = 'job="attorn",instance="127.0.0.1:9464",process="services"'

CASES: Final = {
    "AttornGone": Case({f"up{{{PLACE}}}": ("1x60", "1x8 0x52")}, HERE, "services does not answer at 127.0.0.1:9464"),
    "AttornNotReady": Case(
        {f'attorn_ready{{{PLACE},check="append"}}': ("1x60", "1x8 0x52")},
        {**HERE, "check": "append"},
        "services is not ready: append; /readyz says why",
    ),
    "AttornViewBehind": Case(
        {f'attorn_view_lag_seconds{{{PLACE},view="board"}}': ("29x60", "31x60")},
        {**HERE, "view": "board"},
        "view board is 31 s behind the log",
    ),
    "AttornPoison": Case(
        {f'attorn_view_poison{{{PLACE},view="board"}}': ("0x60", "0x8 2x52")},
        {**HERE, "view": "board"},
        "view board could not take in 2 events",
    ),
    "AttornFeedBehind": Case(
        {f"attorn_relay_lag_events{{{PLACE}}}": ("10000x60", "10001x60")},
        HERE,
        "subscribers are 10001 events behind the log",
    ),
    "AttornQuarantine": Case(
        {f'attorn_quarantined_total{{{PLACE},why="unreadable"}}': ("7x60", "0+1x60")},
        {"why": "unreadable"},
        "40 messages were unreadable within ten minutes",
    ),
    "AttornUnavailable": Case(
        {
            f'attorn_command_seconds_count{{{PLACE},verb="work.define",outcome="refused"}}': ("0+9x60", "0+9x60"),
            f'attorn_command_seconds_count{{{PLACE},verb="work.define",outcome="unavailable"}}': ("3x60", "0+1x60"),
        },
        {},
        "20 commands were not answered for, of our making",
    ),
    "AttornLoopLate": Case(
        {
            f'attorn_loop_late_seconds_bucket{{{PLACE},le="1.0"}}': ("0+9x60", "0x60"),
            f'attorn_loop_late_seconds_bucket{{{PLACE},le="5.0"}}': ("0+9x60", "0+9x60"),
            f'attorn_loop_late_seconds_bucket{{{PLACE},le="+Inf"}}': ("0+9x60", "0+9x60"),
        },
        {"process": "services"},
        "the event loop of services comes more than a second late",
    ),
}


def test_every_alert_is_tried() -> None:
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_is_silent_when_all_is_well_and_says_what_is_wrong_when_it_is(
    alert: str, promtool: str, tmp_path: Path
) -> None:
    series, labels, summary = CASES[alert]

    def trial(number: int, expected: list[Any]) -> dict[str, Any]:
        return {
            "interval": "15s",
            "input_series": [{"series": name, "values": values[number]} for name, values in series.items()],
            "alert_rule_test": [{"eval_time": "10m", "alertname": alert, "exp_alerts": expected}],
        }

    fired = {"exp_labels": labels, "exp_annotations": {"summary": summary}}
    file = tmp_path / "alert.json"
    tests = [trial(0, []), trial(1, [fired])]
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": tests}))
    assert "SUCCESS" in ran(promtool, "test", "rules", file)
