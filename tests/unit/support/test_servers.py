"""Programs of the tests are taken from the running environment, not from elsewhere on the PATH."""

import os
import sys

import pytest

from tests.support.servers import find_program


@pytest.fixture
def program(tmp_path):
    """Makes an executable file in a folder and returns its path."""

    def make(folder: str, name: str = "some_server") -> str:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o755)
        return str(path)

    return make


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    """An environment without programs, and a PATH with another folder."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "environment" / "python"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'elsewhere'}{os.pathsep}{tmp_path / 'environment'}")


def test_a_program_beside_the_interpreter_comes_before_one_on_the_path(program):
    program("elsewhere")
    path = program("environment")
    assert find_program("some_server") == path


def test_a_program_that_is_only_on_the_path_is_found(program):
    assert find_program("some_server") is None
    path = program("elsewhere")
    assert find_program("some_server") == path


def test_a_file_that_cannot_be_executed_is_no_program(program, tmp_path):
    expected = program("elsewhere")
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment" / "some_server").touch(mode=0o644)
    assert find_program("some_server") == expected
