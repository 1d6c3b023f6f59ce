"""The house stands: no room imports itself through others, and the core names no room above it."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import scratchgen

ROOT = Path(scratchgen.__file__).parent


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_at_once(tree):
    """The import statements that run when a module is imported, types alone left out."""
    for node in ast.iter_child_nodes(tree):
        lazy = isinstance(node, (ast.FunctionDef, ast.Lambda))
        for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if isinstance(node, ast.ImportFrom):
            yield node
        elif not (lazy or for_types):
            yield from imported_at_once(node)


def imports():
    """The rooms that each room imports; the package itself, which imports all, is left out."""
    rooms = {room(path) for path in ROOT.rglob("*.py")} - {"__init__"}
    graph = {name: set() for name in rooms}
    for path in ROOT.rglob("*.py"):
        depth = len(path.relative_to(ROOT).parts)
        for node in imported_at_once(ast.parse(path.read_text(encoding="utf-8"))):
            if node.level == depth and room(path) in rooms:  # from the package itself
                names = [node.module or ""] if node.module else [a.name for a in node.names]
                found = {name.split(".")[0] for name in names} & rooms
                graph[room(path)] |= found - {room(path)}
    return graph


def test_no_room_imports_itself_through_others():
    order = list(TopologicalSorter(imports()).static_order())  # CycleError names a circle
    assert order.index("autodiff") < order.index("operations") < order.index("models")


def test_the_core_names_no_room_above_it():
    graph = imports()
    assert graph["autodiff"] == {"backend"}
    assert graph["training"].isdisjoint({"models", "recipes", "storage", "estimators", "cli"})
    assert graph["models"].isdisjoint({"estimators", "recipes", "storage", "runs", "cli"})


def test_backend_alone_names_cupy():
    for path in ROOT.rglob("*.py"):
        named = {
            alias.name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert "cupy" not in named or path.name == "backend.py", path
