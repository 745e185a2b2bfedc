"""Finds the best hyperparameters of a knowledge distillation."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

__version__ = "0.1.0"


class _OurPackages:
    """Finds our top-level packages before those of the same name in the working folder.

    `python -m` and Ray's workers put the working folder first on sys.path, and every fork of
    RepDistiller, for example, has a package `models` there.
    """

    names = ("losses", "models", "search_spaces")
    root = Path(__file__).parents[1]

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in cls.names:
            return None
        # Ray unpacks each package that it ships into a separate folder beside this one's.
        beside = [entry for entry in sys.path if Path(entry).parent == cls.root.parent]
        return PathFinder.find_spec(name, [str(cls.root), *beside])


sys.meta_path.insert(0, _OurPackages)
