"""Our top-level packages are found before others of the same names."""

import sys
from pathlib import Path

import pytest

import tuner


@pytest.fixture
def fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with packages of the same names, first on sys.path."""
    for name in ("losses", "models", "search_spaces", "mine"):
        package(tmp_path / "fork", name)
    monkeypatch.syspath_prepend(tmp_path / "fork")
    return tmp_path / "fork"


def package(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    return folder / name


def origin_of(name: str) -> Path | None:
    """The folder in which `import name` would find it, if it is one of ours."""
    spec = next(
        found for found in (finder.find_spec(name, None) for finder in sys.meta_path) if found
    )
    assert spec.origin is not None
    return Path(spec.origin).parents[1]


@pytest.mark.parametrize("name", ["losses", "models", "search_spaces"])
def test_ours_are_beside_the_package_tuner(fork: Path, name: str) -> None:
    assert origin_of(name) == Path(tuner.__file__).parents[1]


def test_other_packages_are_found_as_ever(fork: Path) -> None:
    assert origin_of("mine") == fork


def test_ours_are_found_where_ray_unpacks_them(
    fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each package that is shipped to a cluster is alone in a folder."""
    shipped = tmp_path / "py_modules_files"
    for name in ("tuner", "losses", "models"):
        package(shipped / f"_ray_pkg_{name}", name)
        sys.path.append(str(shipped / f"_ray_pkg_{name}"))
    monkeypatch.setattr(tuner._OurPackages, "root", shipped / "_ray_pkg_tuner")
    assert origin_of("models") == shipped / "_ray_pkg_models"
    assert origin_of("losses") == shipped / "_ray_pkg_losses"
