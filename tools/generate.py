"""Write what is made from the contracts: JSON Schemas, asyncapi.yaml, the tables in docs, and, asked for, golden bytes.

    python tools/generate.py            write all files that are made from the contracts
    python tools/generate.py --check    write nothing; name each file that is not as it should be, and exit 1
    python tools/generate.py --golden   add the golden bytes of what has none yet; refuse when that would hide a change

The snapshot that compatibility is judged by is taken along, and nothing is written when a change breaks it
(tools/compatibility.py says what a break is).

Golden bytes are what older versions wrote, so a line of them is never rewritten: a type whose example has changed gets
one line more. `--golden --force` begins the files afresh, and is for a format that nobody has stored anything in yet.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / root) for root in ("contracts", "projections", "services", "tools")]

import compatibility  # noqa: E402
import msgspec  # noqa: E402

from attorn.contracts import codec  # noqa: E402
from attorn.contracts.examples import COMMAND_EXAMPLES  # noqa: E402
from attorn.contracts.messages import COMMANDS, EVENTS  # noqa: E402
from attorn.contracts.upcast import UPCASTERS  # noqa: E402
from attorn.services import documents  # noqa: E402

CONTRACTS = Path("contracts/attorn/contracts")
SCHEMAS = CONTRACTS / "schemas"
GOLDEN = Path("tests/contracts/golden")
NOTICE = "# Made by tools/generate.py from the contracts; change those.\n"


class _Plain(yaml.SafeDumper):
    """YAML that is JSON with indentation: no anchors, no line folding, nothing that a reader has to know."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def generated() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    files = {SCHEMAS / f"{type}.json": _json(schema) for type, schema in documents.event_schemas().items()}
    files |= {SCHEMAS / "commands" / f"{verb}.json": _json(one) for verb, one in documents.command_schemas().items()}
    files[compatibility.SNAPSHOT] = compatibility.text(compatibility.shapes())
    files[CONTRACTS / "asyncapi.yaml"] = NOTICE + _yaml(documents.asyncapi())
    files[Path("docs/events.md")] = documents.events_table()
    files[Path("docs/rules.md")] = documents.rules_table()
    return files


def differences(root: Path, files: dict[Path, str]) -> Iterator[str]:
    """What is not as it should be below `root`, a sentence each."""
    for path, text in sorted(files.items()):
        there = root / path
        if not there.exists():
            yield f"{path} is missing"
        elif there.read_bytes() != text.encode():
            yield f"{path} is not what the contracts say"
    for path in _stray(root, files):
        yield f"{path} is of a message that there is no more"


def write(root: Path, files: dict[Path, str]) -> int:
    """Make the files below `root` as they should be; return how many were not."""
    changed = 0
    for path, text in files.items():
        there = root / path
        if not there.exists() or there.read_bytes() != text.encode():
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(text.encode())
            changed += 1
    for path in _stray(root, files):
        (root / path).unlink()
        changed += 1
    return changed


def golden() -> dict[Path, list[tuple[str, str]]]:
    """The name and the exact bytes of every example, by the file that they belong in."""
    shapes: list[Any] = [*EVENTS, *(old.shape for old in UPCASTERS.values())]
    events = [(shape.type, codec.encode(documents.recorded_example(shape)).decode()) for shape in shapes]
    commands = [(shape.verb, msgspec.json.encode(COMMAND_EXAMPLES[shape]).decode()) for shape in COMMANDS]
    return {GOLDEN / "events.jsonl": sorted(events), GOLDEN / "commands.jsonl": sorted(commands)}


def write_golden(root: Path, wanted: dict[Path, list[tuple[str, str]]], *, force: bool) -> list[str]:
    """Add the lines that are not there yet. Returns what it refused: a line that today's classes no longer write."""
    refused: list[str] = []
    for path, lines in wanted.items():
        there = root / path
        old = [] if force or not there.exists() else _lines(there)
        gone = {name for name, _ in old} - {name for name, _ in lines}
        refused += [f"{path}: {name} is stored, and no longer known" for name in sorted(gone)]
        refused += [
            f"{path}: {name} is written otherwise than it was; add a field with a default, or a new version"
            for name, body in old
            if name not in gone and _rewritten(path, name, body) != body
        ]
        if not refused:
            new = [line for line in lines if line not in old]
            there.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(list(line), ensure_ascii=False) + "\n" for line in sorted([*old, *new]))
            there.write_text(text, encoding="utf-8")
    return refused


def _rewritten(path: Path, name: str, body: str) -> str:
    """`body` read and written again by today's classes."""
    if path.name == "events.jsonl":
        # An old version is read as the newest; that it is still read as what it was is another matter.
        old = UPCASTERS.get(name)
        event = (
            codec.decode(body.encode()) if old is None else msgspec.json.decode(body, type=codec.ENVELOPES[old.shape])
        )
        return codec.encode(event).decode()
    shape = next(shape for shape in COMMANDS if shape.verb == name)
    try:
        return msgspec.json.encode(msgspec.json.decode(body, type=shape)).decode()
    except msgspec.ValidationError:
        return ""


def _lines(path: Path) -> list[tuple[str, str]]:
    return [(name, body) for name, body in map(json.loads, path.read_text(encoding="utf-8").splitlines())]


def _stray(root: Path, files: dict[Path, str]) -> list[Path]:
    there = (path.relative_to(root) for path in (root / SCHEMAS).rglob("*.json"))
    return sorted(path for path in there if path not in files)


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _yaml(document: Any) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1 << 30)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    parser.add_argument("--golden", action="store_true", help="add the golden bytes of what has none yet")
    parser.add_argument("--force", action="store_true", help="although it breaks what is there; with --golden: afresh")
    options = parser.parse_args()
    if options.force and options.check:
        parser.error("--force does not go with --check")
    if options.golden:
        refused = write_golden(ROOT, golden(), force=options.force)
        print(*refused, sep="\n", end="\n" if refused else "")
        return 1 if refused else 0
    files = generated()
    now = compatibility.parsed(files[compatibility.SNAPSHOT])
    broken = list(map(str, compatibility.breaks(compatibility.read(ROOT / compatibility.SNAPSHOT), now)))
    if broken and not (options.check or options.force):
        print(*broken, sep="\n")
        print("nothing is written: tools/compatibility.py says what to do about a break; --force is for a format that")
        print("nobody has stored anything in yet")
        return 1
    if options.check:
        found = broken + list(differences(ROOT, files))
        print(*found, sep="\n", end="\n" if found else "")
        if found:
            print("run python tools/generate.py")
        return 1 if found else 0
    print(f"{write(ROOT, files)} of {len(files)} files written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
