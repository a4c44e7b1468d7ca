"""The budgets and rooms of the house; import-linter checks the floors, CONTRIBUTING.md tells how things are counted."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import trioakt

ROOT = Path(__file__).parent.parent
PACKAGE = Path(trioakt.__file__).parent
"""Where trioakt is imported from: the working tree, or the installed wheel."""

FILE_LINES = 500
FUNCTION_LINES = 50
CLASS_METHODS = 20
PROTOCOL_MEMBERS = 5
LARGER_PROTOCOLS = {"Journal": 6, "Store": 6}
"""The verbs of an engine that others may write."""
MAIN_PATH = ["ref.py", "mailbox.py", "cell.py", "actor.py"]
MAIN_PATH_LINES = 700

NAMES_THAT_SAY_NOTHING = {"base", "common", "helper", "helpers", "manager", "managers", "types", "util", "utils"}
FACADE = ["__init__.py", "cli.py", "context.py", "demo/", "observability/", "system.py", "testing/"]
"""The parts that may import `trioakt` itself; what is below them may not."""

ROOMS = {
    "anyio": ["cli.py", "demo/", "testing/"],
    "cattrs": ["codec/bodies.py"],
    "cronsim": ["patterns/cron.py"],
    "dns": ["remote/dns_records.py"],
    "h11": ["observability/http.py"],
    "httpx": ["cluster/etcd_gateway.py"],
    "loguru": ["observability/logs.py"],
    "msgspec": ["cluster/", "codec/", "datacenter/", "remote/"],
    "opentelemetry": ["observability/metrics.py", "observability/tracing.py"],
    "prometheus_client": ["observability/prometheus.py"],
    "psycopg": ["cluster/postgresql_connection.py"],
    "pynng": ["remote/nng.py"],
    "zeroconf": ["remote/mdns_services.py"],
}
"""Where each third-party package may be imported; attrs and trio are at home everywhere."""

PURE = [
    "_core/address.py",
    "cluster/facts.py",
    "cluster/health.py",
    "cluster/member.py",
    "cluster/placement.py",
    "cluster/view.py",
    "codec/",
    "crdt/",
    "datacenter/facts.py",
    "datacenter/info.py",
    "datacenter/view.py",
    "delivery/window.py",
    "observability/lines.py",
    "observability/stories.py",
    "patterns/circuit.py",
    "patterns/cron.py",
    "patterns/rhythm.py",
    "patterns/routing.py",
    "supervision/",
]
"""What decides without Trio, anyio or a wire."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(_text(path), str(path))


def _place(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent if path.is_relative_to(PACKAGE) else ROOT))


def _is_in(path: Path, rooms: list[str]) -> bool:
    place = path.relative_to(PACKAGE).as_posix()
    return any(place.startswith(room) if room.endswith("/") else place == room for room in rooms)


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(_tree(path)) if isinstance(node, ast.ClassDef))


def _length(function: Function) -> int:
    """Count a function's lines without its decorators and its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def _members(cls: ast.ClassDef) -> Iterator[Function]:
    return (node for node in cls.body if isinstance(node, Function) and not node.name.endswith("__"))


def _is_property(function: Function) -> bool:
    return any(ast.unparse(each).endswith(("property", ".setter", ".deleter")) for each in function.decorator_list)


def _methods(cls: ast.ClassDef) -> set[str]:
    """Name the methods in a class body; overloads share a name, and properties are no methods."""
    return {member.name for member in _members(cls) if not _is_property(member)}


def _is_protocol(cls: ast.ClassDef) -> bool:
    return any(ast.unparse(parent).partition("[")[0].endswith("Protocol") for parent in cls.bases)


def _imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that happen at run time."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _imports(ast.Module(node.orelse, []))
        else:
            yield from _imports(node)


def _imported(path: Path) -> set[str]:
    """Name the modules that a module imports, as they are written."""
    names: set[str] = set()
    for node in _imports(_tree(path)):
        names |= {node.module or ""} if isinstance(node, ast.ImportFrom) else {each.name for each in node.names}
    return names


def _third_parties(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in _imported(path)}


MODULES = sorted(PACKAGE.rglob("*.py"))
AROUND = sorted(path for folder in ("benchmarks", "examples", "tests") for path in (ROOT / folder).rglob("*.py"))


def _each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=_place)


each_file = _each(MODULES + AROUND)
each_module = _each(MODULES)
each_pure_module = _each([path for path in MODULES if _is_in(path, PURE)])
each_module_below_the_facade = _each([path for path in MODULES if not _is_in(path, FACADE)])


@each_file
def test_the_file_is_short(path: Path) -> None:
    assert len(_text(path).splitlines()) <= FILE_LINES


@each_file
def test_its_functions_are_short(path: Path) -> None:
    lengths = {f"{node.name}, line {node.lineno}": _length(node) for node in _functions(_tree(path))}
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES} == {}


@each_module
def test_its_classes_have_few_methods(path: Path) -> None:
    sizes = {node.name: len(_methods(node)) for node in _classes(path)}
    assert {name: size for name, size in sizes.items() if size > CLASS_METHODS} == {}


@each_module
def test_its_protocols_ask_for_little(path: Path) -> None:
    protocols = [node for node in _classes(path) if _is_protocol(node)]
    sizes = {node.name: len({member.name for member in _members(node)}) for node in protocols}
    assert {name: size for name, size in sizes.items() if size > LARGER_PROTOCOLS.get(name, PROTOCOL_MEMBERS)} == {}


@each_module
def test_its_name_says_what_is_inside(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    assert not NAMES_THAT_SAY_NOTHING & {part.strip("_") for part in parts}


@each_module
def test_it_opens_with_what_it_is(path: Path) -> None:
    assert ast.get_docstring(_tree(path))


@each_module
def test_no_function_of_it_imports(path: Path) -> None:
    inside = {node.lineno for function in _functions(_tree(path)) for node in _imports(function)}
    assert sorted(inside) == []


@each_module
def test_each_third_party_package_stays_in_its_room(path: Path) -> None:
    strays = {name for name in _third_parties(path) & ROOMS.keys() if not _is_in(path, ROOMS[name])}
    assert strays == set()


@each_pure_module
def test_what_decides_is_pure(path: Path) -> None:
    assert _third_parties(path).isdisjoint({"anyio", "pynng", "trio"})


@each_module_below_the_facade
def test_nothing_below_the_facade_imports_it(path: Path) -> None:
    assert sorted({"trioakt", "trioakt.context", "trioakt.system"} & _imported(path)) == []


def test_the_facade_has_no_logic() -> None:
    kinds = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign)
    assert [node.lineno for node in _tree(PACKAGE / "__init__.py").body if not isinstance(node, kinds)] == []


def test_the_main_path_of_a_message_is_read_in_one_sitting() -> None:
    lines = {name: len(_text(PACKAGE / "_core" / name).splitlines()) for name in MAIN_PATH}
    assert sum(lines.values()) <= MAIN_PATH_LINES, lines
