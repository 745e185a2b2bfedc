"""The layout of the code: which folder may import which, and how long a function may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("tuner", "losses", "models", "search_spaces")
# A folder imports only from folders of lower levels; the commands in tuner/ are above them all.
LEVELS = {
    "text": 1,
    "storage": 2,
    "config": 3,
    "data": 3,
    "teacher_cache": 4,
    "results": 5,
    "training": 5,
    "planning": 6,
    "tracking": 6,
    "reports": 6,
    "orchestration": 7,
    "terminal": 7,
    "driver": 8,
    "reproductions": 9,
}
COMMANDS = {"search", "teach", "distill", "reproduce", "report", "cache", "status", "stop", "cli"}
# The one folder that may import each of these libraries.
DOORS = {
    "mlflow": ("tuner/tracking/",),
    "ray": ("tuner/orchestration/",),
    "optuna": ("tuner/planning/", "tuner/reports/importances.py"),
}
LONGEST_FUNCTION, LONGEST_CLASS = 60, 200  # lines


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_module = (ROOT / f"{name.replace('.', '/')}.py").exists()
                yield name if is_module else str(node.module)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_tuner_holds_commands_and_the_folders_of_the_layout() -> None:
    files = {path.stem for path in (ROOT / "tuner").glob("*.py")} - {"__init__", "__main__"}
    folders = {path.parent.name for path in (ROOT / "tuner").glob("*/__init__.py")}
    assert files == COMMANDS
    assert folders == set(LEVELS)


def test_a_folder_imports_only_from_lower_levels() -> None:
    wrong = []
    for path in sorted((ROOT / "tuner").glob("*/**/*.py")):
        own = path.relative_to(ROOT / "tuner").parts[0]
        for module in imports_of(path):
            package, _, rest = module.partition(".")
            other = rest.partition(".")[0]
            if package != "tuner" or not other or other == own:
                continue
            if LEVELS.get(other, 99) >= LEVELS[own]:
                wrong.append(f"{name_of(path)} imports {module}")
    assert wrong == []


def test_the_leaves_do_not_import_tuner() -> None:
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in sources()
        for module in imports_of(path)
        if path.relative_to(ROOT).parts[0] != "tuner" and module.partition(".")[0] == "tuner"
    ]
    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    modules = {name_of(path)[:-3].replace("/", "."): path for path in sources()}
    arrows = {
        name: {module for module in imports_of(path) if module in modules and module != name}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a cycle: {' -> '.join((*above, name))}"
        if name not in done:
            for other in sorted(arrows[name]):
                visit(other, (*above, name))
            done.add(name)

    for name in modules:
        visit(name, ())


@pytest.mark.parametrize("library", sorted(DOORS))
def test_a_library_is_imported_in_one_place(library: str) -> None:
    wrong = [
        name_of(path)
        for path in sources()
        if any(module.partition(".")[0] == library for module in imports_of(path))
        and not name_of(path).startswith(DOORS[library])
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("kinds", "longest"),
    [
        ((ast.FunctionDef, ast.AsyncFunctionDef), LONGEST_FUNCTION),
        ((ast.ClassDef,), LONGEST_CLASS),
    ],
    ids=["functions", "classes"],
)
def test_nothing_is_too_long(kinds: tuple[type[ast.stmt], ...], longest: int) -> None:
    too_long = [
        f"{name_of(path)}: {node.name} has {length} lines"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > longest
    ]
    assert too_long == []
