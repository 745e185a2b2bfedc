"""Any input of the user either runs or is refused in one sentence, with status 2.

The inputs are generated: thousands of them, the same ones in every run. Everything is real up
to the moment at which Ray or a training would start.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import models
import tuner.cache
import tuner.distill
import tuner.report
import tuner.search
import tuner.teach
from tests.support.bad_files import (
    changed_weights,
    contents,
    crafted,
    good_weights,
    parquet_files,
    saved,
)
from tests.support.bad_input import REFUSED, RUNS, nothing_trains, outcome
from tests.support.bad_requests import COMMANDS, command_lines, contents_of_yaml, yaml_bytes
from tests.support.bad_spaces import space_files

EXAMPLES = {
    "command lines": 800,
    "YAML values": 350,
    "YAML texts": 350,
    "space files": 250,
    "checkpoints": 200,
    "damaged checkpoints": 100,
    "Parquet folders": 150,
}
outcomes: dict[str, Counter[str]] = {}


def generated(kind: str) -> Any:
    """Generates as many inputs as EXAMPLES says, the same ones in every run."""
    return settings(
        max_examples=EXAMPLES[kind],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory):
    """A working folder with its own data folder; the digits are built once."""
    folder = tmp_path_factory.mktemp("bad-input")
    with nothing_trains(folder):
        for name in ("good.pt", "other.pt"):
            network = models.build("resnet8" if name == "good.pt" else "resnet20", 10)
            torch.save({"model": network.state_dict()}, name)
        yield


@pytest.fixture
def run(capfd, request):
    """Runs a command in this folder and counts its outcome."""

    def run(command: Any, *arguments: str, kind: str) -> str:
        result = outcome(capfd, command, *arguments)
        outcomes.setdefault(kind, Counter())[result] += 1
        return result

    return run


@generated("command lines")
@given(command_lines())
def test_every_command_line_runs_or_is_refused(run, line):
    name, arguments = line
    command, words, _ = COMMANDS[name]
    data = () if command is tuner.report else ("--data-dir", "data")
    run(command, *words, *data, *arguments, kind="command lines")


@generated("YAML values")
@given(contents_of_yaml(), st.integers(0, 9))
def test_values_of_every_type_run_or_are_refused(run, content, space):
    base = {"space": "itrd"} if space else {}
    try:
        text = yaml.dump(base | content, Dumper=yaml.SafeDumper, allow_unicode=False)
    except (UnicodeError, TypeError):  # what PyYAML cannot write
        text = "space: itrd"
    Path("config.yaml").write_text(text, encoding="utf-8", errors="replace")
    run(tuner.search, "--data-dir", "data", "--config", "config.yaml", kind="YAML values")


@generated("YAML texts")
@given(yaml_bytes, st.sampled_from([tuner.search, tuner.distill, tuner.teach]))
def test_every_yaml_text_runs_or_is_refused(run, content, command):
    Path("config.yaml").write_bytes(content)
    run(command, "--data-dir", "data", "--config", "config.yaml", kind="YAML texts")


@generated("space files")
@given(space_files(), st.sampled_from([tuner.search, tuner.search, tuner.distill]))
def test_every_space_file_runs_or_is_refused(run, source, command):
    Path("mine.py").write_text(source, encoding="utf-8")
    run(command, "--data-dir", "data", "--space", "mine.py", kind="space files")


@generated("checkpoints")
@given(
    st.one_of(
        changed_weights().map(saved),
        changed_weights().map(saved),
        contents.map(saved),
        st.integers(0, len(crafted()) - 1).map(lambda n: crafted()[n]),
        st.binary(max_size=60),
        st.binary(max_size=30).map(b"\x80\x02".__add__),
    ),
    st.sampled_from([tuner.teach, tuner.teach, tuner.search, tuner.distill]),
)
def test_every_checkpoint_is_loaded_or_refused(run, content, command):
    load(run, content, command, "checkpoints")


@generated("damaged checkpoints")
@given(
    st.booleans(),
    st.one_of(
        st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)),
        st.tuples(st.just("flip"), st.floats(0, 0.02), st.integers(0, 7)),
        st.tuples(st.just("flip"), st.floats(0.9, 1), st.integers(0, 7)),
        st.tuples(st.just("double"), st.floats(0, 1), st.just(0)),
    ),
)
def test_every_damage_to_a_checkpoint_is_refused_or_harmless(run, is_zip, damage):
    how, where, bit = damage
    good = saved({"model": good_weights()}, _use_new_zipfile_serialization=is_zip)
    place = min(int(where * len(good)), len(good) - 1)
    if how == "cut":
        content = good[:place]
    elif how == "flip":
        content = good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :]
    else:
        content = good[:place] + good[max(0, place - 1000) :]
    load(run, content, tuner.teach, "damaged checkpoints")


def load(run: Any, content: bytes, command: Any, kind: str) -> None:
    Path("given.pt").write_bytes(content)
    space = ("--space", "kd") if command is tuner.search else ()
    run(command, "--data-dir", "data", "--teacher", "resnet8@given.pt", *space, kind=kind)
    assert not Path("created").exists()


@generated("Parquet folders")
@given(
    parquet_files(),
    st.one_of(st.just(b""), parquet_files()),
    st.sampled_from(
        ["images", "images", "im ages", "é", "-x", "[red]", "a@b", "a:b", "a,b", "%s{}"]
    ),
    st.sampled_from([None, None, None, "8", "8", "1", "100000"]),
)
def test_every_parquet_folder_is_read_or_refused(run, tmp_path_factory, train, test, name, size):
    folder = Path(name).absolute()
    folder.mkdir(exist_ok=True)
    (folder / "train-0.parquet").write_bytes(train)
    (folder / "test-0.parquet").write_bytes(test or train)
    options = [
        "--teacher",
        "resnet8",
        "--student",
        "resnet8",
        "--batch-size",
        "2",
        "--crop-padding",
        "1",
    ]
    options += ["--image-size", size] if size else []
    data = ["--data-dir", "data", "--data", f"parquet:{name}"]
    run(tuner.search, "--space", "kd", *data, *options, kind="Parquet folders")


def test_at_least_two_thousand_inputs_were_tried_and_both_outcomes_were_seen(request):
    """Runs last. Some inputs of every kind run, or the generators would make only nonsense."""
    assert sum(EXAMPLES.values()) >= 2000
    if set(outcomes) != set(EXAMPLES):
        pytest.skip("some of the tests above were left out")
    for kind, counted in outcomes.items():
        print(f"{kind}: {counted[RUNS]} {RUNS}, {counted[REFUSED]} {REFUSED}")  # noqa: T201
        assert counted.total() >= EXAMPLES[kind] * 0.9, kind  # a finite set may be smaller
        assert min(counted[RUNS], counted[REFUSED]) > 0, kind
