"""The shape of the repository is part of the design, so it is tested."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOTS = ("contracts", "projections", "services")

# Portion of the namespace: the portions that it may import besides itself.
MAY_IMPORT = {
    "contracts": set[str](),
    "client": {"contracts"},
    "projections": {"contracts"},
    "services": {"contracts", "client", "projections"},
    "eventsourcing": {"contracts", "services"},
    "cli": {"contracts", "client", "projections", "services", "eventsourcing"},
}
# What these may take from outside the standard library; the others may take whatever is declared.
MAY_REQUIRE = {
    "contracts": {"msgspec"},
    "client": {"msgspec", "nats", "uuid_utils"},
}
OUTSIDE = {"tests", "deploy", "bench", "tools"} | {path.stem for path in (ROOT / "tests").glob("*.py")}

CLOCKS_AND_DICE = {"time", "random", "secrets", "uuid", "uuid_utils"}
SLOW_TO_IMPORT = {"mcp", "faststream", "litestar", "nats"}

# Written so that this file does not match itself. A page's address may well be /work/W-1 or /work/{id}.
FOREIGN_PLACES = re.compile(
    r"(?i:py[p]i\.org|python[h]osted\.org|npm[j]s\.(?:org|com)|yarn[p]kg\.com|debian[.]org)"
    r"|(?<![\w./])/(?:root/|home/|work/(?![{<:*]|[A-Z]+-))"
)


def modules(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts
    )


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def portion(path: Path) -> str:
    """The part of the namespace that `path` is in: contracts/attorn/client/follow.py is in client."""
    return path.relative_to(ROOT).parts[2]


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """The full name of each module that is imported; of `from a import b` it is a.b, since b may be a module."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from (f"{'.' * level}{module or ''}.{name.name}" for name in names)
            case _:
                pass


def at_module_level(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: all of it but the bodies of functions and what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from at_module_level(child)


def readings_of_the_clock(path: Path) -> set[str]:
    """Each import or call in `path` by which time, chance or an identity would enter."""
    nodes = list(ast.walk(tree(path)))
    found = {name for name in imports(iter(nodes)) if name.split(".")[0] in CLOCKS_AND_DICE}
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
            owner = ast.unparse(node.value)
            if owner.split(".")[-1] in {"datetime", "date", "dt"}:
                found.add(f"{owner}.{node.attr}")
    return found


def pure() -> list[Path]:
    """The folds and the models."""
    views = [path for path in modules("projections") if "store" not in path.parts]
    return views + [path for path in modules(*ROOTS) if path.name in {"model.py", "state.py"}]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("root", ROOTS)
def test_each_root_holds_one_portion_of_the_namespace_and_hides_no_other(root: str) -> None:
    assert [path.name for path in (ROOT / root).iterdir() if path.is_dir() and path.name != "__pycache__"] == ["attorn"]
    assert not (ROOT / root / "attorn" / "__init__.py").exists(), "would hide the other portions"


def test_every_portion_is_known_and_typed() -> None:
    for root in ROOTS:
        for folder in (ROOT / root / "attorn").iterdir():
            if folder.is_dir() and folder.name != "__pycache__":
                assert folder.name in MAY_IMPORT
                assert (folder / "py.typed").exists(), f"{folder} has no py.typed"


@pytest.mark.parametrize("name", names(modules(*ROOTS)))
def test_imports_point_inward_only(name: str) -> None:
    path = ROOT / name
    for imported in imports(ast.walk(tree(path))):
        assert not imported.startswith("."), f"{imported}: imports are written in full"
        top, *rest = imported.split(".")
        assert top not in OUTSIDE, f"{imported}: what ships does not import what tests, measures or deploys it"
        if top == "attorn":
            assert rest[0] in MAY_IMPORT[portion(path)] | {portion(path)}, imported
        elif portion(path) in MAY_REQUIRE:
            assert top in MAY_REQUIRE[portion(path)] | sys.stdlib_module_names, imported


@pytest.mark.parametrize("name", names(modules(*ROOTS, "tests", "tools", "bench", "deploy")))
def test_every_file_begins_by_saying_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(tree(ROOT / name)), "the first statement is a docstring"


@pytest.mark.parametrize("name", names(pure()))
def test_no_fold_and_no_model_reads_the_clock_or_rolls_dice(name: str) -> None:
    assert readings_of_the_clock(ROOT / name) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", {"time"}),
        ("from random import choice", {"random.choice"}),
        ("def f():\n    from uuid import uuid4", {"uuid.uuid4"}),
        ("datetime.now(UTC)", {"datetime.now"}),
        ("datetime.datetime.utcnow()", {"datetime.datetime.utcnow"}),
        ("date.today", {"date.today"}),
        ("from datetime import datetime\ncontext.now", set()),
    ],
)
def test_a_reading_of_the_clock_is_noticed(source: str, found: set[str], tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(source)
    assert readings_of_the_clock(path) == found


@pytest.mark.parametrize("name", names(modules("services/attorn/cli")))
def test_no_command_pays_for_what_another_command_needs(name: str) -> None:
    tops = {imported.split(".")[0] for imported in imports(at_module_level(tree(ROOT / name)))}
    assert not tops & SLOW_TO_IMPORT


def test_the_command_line_starts_without_them_by_any_way() -> None:
    main = "attorn.cli.main" if (ROOT / "services/attorn/cli/main.py").exists() else "attorn.cli"
    program = f"import sys, {main}; print(*sorted({SLOW_TO_IMPORT} & sys.modules.keys()))"
    path = os.pathsep.join(str(ROOT / root) for root in ROOTS)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.stdout.strip(), ran.returncode) == ("", 0), ran.stderr


def test_no_file_names_a_package_index_or_a_place_on_somebodys_machine() -> None:
    # New files that are not ignored count too, or the finding would come one commit late.
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    assert Path(__file__) in paths
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in paths
        if path.is_file()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if FOREIGN_PLACES.search(line)
    ]
    assert hits == []


@pytest.mark.parametrize(
    ("line", "foreign"),
    [
        ("https://files.python" + "hosted.org/packages/x.whl", True),
        ("registry.npm" + "js.org", True),
        ("cd /wo" + "rk/main", True),
        ("HOME=/ro" + "ot/x", True),
        ("see ../shared/facts.md, stream work/W-1, page /work/W-1", False),
    ],
)
def test_a_foreign_place_is_noticed(line: str, foreign: bool) -> None:
    assert bool(FOREIGN_PLACES.search(line)) is foreign


def test_the_constraints_are_the_lock_without_its_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = [line.removesuffix("\\").strip() for line in lock.splitlines() if not line.lstrip().startswith("--hash=")]
    assert pins == (ROOT / "constraints.txt").read_text().splitlines()
    assert lock.count("\n    --hash=sha256:") >= len(pins)


def test_the_lock_holds_whatever_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
        *(one for group in project["dependency-groups"].values() for one in group),
    ]
    locked = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {re.split(r"[^A-Za-z0-9-]", one)[0] for one in declared} <= locked
