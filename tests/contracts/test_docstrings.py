"""Public docstrings: functions of tensors name a shape, functions that raise say so."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("tuner", "losses", "models", "search_spaces")
ARRAY = re.compile(r"\b(Tensor|ndarray)\b")
SHAPE = re.compile(r"\[[^\]\n]*\]")  # [B, C, H, W], [...] or []
CONSTRUCTORS = ("__init__", "__post_init__")  # the class describes these, too

Public = tuple[str, ast.FunctionDef, str]  # name, definition, docstring


def public_functions(parent: ast.Module | ast.ClassDef, place: str = "") -> Iterator[Public]:
    described = ast.get_docstring(parent) or ""
    for node in parent.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node, f"{place}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not re.match(r"_(?!_)", node.name):
            own = ast.get_docstring(node) or ""
            is_constructor = node.name in CONSTRUCTORS
            yield f"{place}{node.name}", node, f"{described}\n{own}" if is_constructor else own


def without_shape(functions: Iterable[Public]) -> list[str]:
    """Functions that take arrays but name no shape, or return them and name not even a scalar."""
    found = []
    for name, function, docstring in functions:
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        takes = any(ARRAY.search(ast.unparse(a.annotation)) for a in every if a.annotation)
        returns = function.returns is not None and ARRAY.search(ast.unparse(function.returns))
        is_scalar = not takes and "scalar" in docstring
        if (takes or returns) and not is_scalar and not SHAPE.search(docstring):
            found.append(name)
    return found


def silent_about_raising(functions: Iterable[Public]) -> list[str]:
    """Functions whose own code raises, which the docstring does not mention."""
    return [
        f"{name} raises {', '.join(sorted(raised))}"
        for name, function, docstring in functions
        if (raised := set(raised_by(function))) and not re.search(r"\b[Rr]aises\b", docstring)
    ]


def raised_by(function: ast.FunctionDef) -> Iterator[str]:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            continue  # raises when it is called, if at all
        if isinstance(node, ast.Raise) and node.exc is not None:
            name = ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            if name != "NotImplementedError":
                yield name
        waiting += ast.iter_child_nodes(node)


@pytest.fixture(scope="module")
def functions() -> list[Public]:
    return [
        found
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
        for found in public_functions(ast.parse(file.read_text()), f"{file.relative_to(ROOT)}: ")
    ]


def test_functions_of_tensors_name_a_shape(functions: list[Public]) -> None:
    assert without_shape(functions) == []


def test_functions_that_raise_say_so(functions: list[Public]) -> None:
    assert silent_about_raising(functions) == []


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('def f(x: Tensor) -> Tensor: "Sums to a scalar."', ["f"]),
        ('def f(x: Tensor) -> Tensor: "Sums rows [B, D]."', []),
        ('def f() -> dict[str, Tensor]: "Returns scalars."', []),
        ('def _f(x: Tensor): "Adds."', []),
        ('class A:\n    def g(self, x: np.ndarray): "Adds."', ["A.g"]),
        ('class _A:\n    def g(self, x: np.ndarray): "Adds."', []),
    ],
)
def test_a_missing_shape_is_found(code: str, names: list[str]) -> None:
    assert without_shape(public_functions(ast.parse(code))) == names


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('def f():\n    "Fails."\n    raise E("x")', ["f raises E"]),
        ('def f():\n    "Raises E."\n    raise E("x")', []),
        ('def f():\n    "Fails."\n    raise NotImplementedError', []),
        ('def f():\n    "Fails."\n    try: g()\n    except E: raise', []),
        ('class A:\n    "Raises E."\n    def __init__(self): raise E', []),
        ('def f():\n    "Makes g."\n    def g(): raise E', []),
    ],
)
def test_silence_about_raising_is_found(code: str, names: list[str]) -> None:
    assert silent_about_raising(public_functions(ast.parse(code))) == names
