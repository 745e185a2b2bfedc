"""Imports a user's Python file as a module, and hashes it with the files that it imports.

Imports are searched next to the file first, as in a script. For a file in a package (a folder
with an `__init__.py`) they are searched next to the outermost package, and relative imports
work.
"""

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from models.errors import UnknownModel
from search_spaces.wording import fault_text

Result = TypeVar("Result")


def load_module(path: Path) -> ModuleType:
    """The module in a file, run once per content. Raises UnknownModel if it fails."""
    root, parts = _place(path)
    # The digest keeps the name apart from other packages and from earlier versions of the file.
    name = re.sub(r"\W", "_", parts[0]) + f"_{source_digest(path)[:12]}"
    full_name = ".".join((name, *parts[1:]))
    if full_name not in sys.modules:
        # The outermost package is run first, the modules in it by their relative names.
        top = path if len(parts) == 1 else root / parts[0] / "__init__.py"
        run_user_code(path, lambda: _run(top, name, full_name))
    return sys.modules[full_name]


def run_user_code(path: Path, call: Callable[[], Result], name: str = "") -> Result:
    """What `call` returns, which runs code of the file; raises UnknownModel if it fails.

    `name`: the name under which `load_module` has loaded the file's outermost package.
    """
    try:
        root, parts = _place(path)
        with _imports_from(root), _own_package(parts[0], name):
            return call()
    except UnknownModel:
        raise
    except KeyboardInterrupt:
        raise
    # Anything can go wrong in the user's code, and all of it is theirs to fix.
    except BaseException as error:
        raise UnknownModel(fault_text(path, error)) from error


def source_digest(path: Path) -> str:
    """SHA-256 of the code of a file and of the files next to it that it imports.

    Comments, formatting and the folder do not count.
    """
    root, parts = _place(path)
    texts = {}
    waiting = [path, *_files(root, parts)]
    while waiting:
        file = waiting.pop()
        if file in texts:
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):  # reported when it is run
            texts[file] = file.read_text(errors="replace")
            continue
        texts[file] = ast.unparse(tree)
        waiting += (found for found in _imported(tree, file, root) if found.is_relative_to(root))
    digest = hashlib.sha256(f"{path.relative_to(root)}\n".encode())
    for file in sorted(texts):
        digest.update(f"{file.relative_to(root)}\n{texts[file]}\n".encode())
    return digest.hexdigest()


def _place(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder where a file's imports are searched, and the parts of its dotted name there."""
    root, parts = path.parent, () if path.name == "__init__.py" else (path.stem,)
    while (root / "__init__.py").is_file() and root != root.parent:
        root, parts = root.parent, (root.name, *parts)
    return root, parts


def _run(top: Path, name: str, full_name: str) -> None:
    """Runs the file `top` as the module `name`, and imports `full_name`, which is in it."""
    is_package = top.name == "__init__.py"
    folders = [str(top.parent)] if is_package else None
    spec = importlib.util.spec_from_file_location(name, top, submodule_search_locations=folders)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    importlib.invalidate_caches()  # files next to it may be new
    try:
        with _own_package(top.parent.name, name):
            spec.loader.exec_module(module)
            importlib.import_module(full_name)
    except BaseException:
        del sys.modules[name]
        raise


@contextmanager
def _imports_from(root: Path) -> Iterator[None]:
    """Searches imports in the folder first, and writes no bytecode there."""
    writes_bytecode = sys.dont_write_bytecode
    sys.path.insert(0, str(root))
    # Bytecode is matched by modification time in seconds; a stale version could be run.
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_bytecode
        with suppress(ValueError):  # the user's code may have changed the list
            sys.path.remove(str(root))


@contextmanager
def _own_package(package: str, name: str) -> Iterator[None]:
    """While a user's package runs, `import package` finds it, even if `package` is "models".

    `name`: the name under which the package is loaded; nothing happens if that is no package.
    """
    if name == package or not hasattr(sys.modules.get(name), "__path__"):
        yield
        return
    ours = _renamed(package, package, pop=True)
    sys.modules.update(_renamed(name, package))
    try:
        yield
    finally:
        # Modules that were imported by the package's own name are kept for its next call.
        sys.modules.update(_renamed(package, name, pop=True))
        sys.modules.update(ours)


def _renamed(name: str, new: str, *, pop: bool = False) -> dict[str, ModuleType]:
    """The loaded modules of a package, under another name of the package."""
    keys = [key for key in sys.modules if key == name or key.startswith(f"{name}.")]
    read = sys.modules.pop if pop else sys.modules.__getitem__
    return {new + key.removeprefix(name): read(key) for key in keys}


def _imported(tree: ast.AST, file: Path, root: Path) -> Iterator[Path]:
    """The files that a module's import statements, at any depth, may refer to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(root, tuple(alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            base = file.parents[node.level - 1] if node.level else root
            module = tuple((node.module or "").split(".")) if node.module else ()
            for alias in node.names:
                yield from _files(base, (*module, alias.name))


def _files(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """The files in the folder that importing part.part. ... runs."""
    for part in parts:
        if (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
        folder = folder / part
        if (folder / "__init__.py").is_file():
            yield folder / "__init__.py"
