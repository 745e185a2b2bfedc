"""`tuner` and its subcommands, from start to end on a few digits, without Ray."""

import hashlib
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

import models
from tests.support.by_hand import make_header
from tuner import __version__, cli
from tuner.results.tables import read_tables
from tuner.results.trial import DONE
from tuner.storage.folder import Storage

TEACHER = ["--limit", "100", "--teacher", "resnet8", "--teacher-epochs", "1"]
SMALL = [*TEACHER, "--student", "resnet8", "--epochs", "1"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """`tuner ARGUMENTS` with its own data folder: exit status, lines on stdout, on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: str) -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr(sys, "argv", ["tuner", *arguments])
        try:
            status = cli.main()
        except SystemExit as done:
            status = done.code
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return call


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_without_a_command_all_commands_are_listed(run, arguments):
    status, out, err = run(*arguments)
    assert (status, err) == (0, [])
    assert [line.split()[0] for line in out[3:]] == list(cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_its_own_help(run, command):
    status, out, err = run(command, "--help")
    assert (status, err) == (0, [])
    assert out[0].startswith(f"usage: tuner {command} ")


@pytest.mark.parametrize("arguments", [["--version"], ["search", "--version"]])
def test_the_version_is_printed(run, arguments):
    assert run(*arguments) == (0, [f"tuner {__version__}"], [])


def test_an_unknown_command_is_refused(run):
    status, out, (sentence,) = run("serach")
    assert (status, out) == (2, [])
    assert sentence.startswith("tuner: unknown command 'serach'")
    assert sentence.endswith(
        "known: search, status, stop, teach, distill, reproduce, report, cache"
    )


def test_a_refusal_passes_through(run):
    status, out, (sentence,) = run("distill", "--epochs", "0")
    assert (status, out, sentence) == (2, [], "tuner: epochs is '0'; it must be at least 1")


# teach


def test_a_teacher_is_trained_once_and_kept(run, tmp_path):
    status, first, err = run("teach", *TEACHER)
    assert (status, err) == (0, [])
    assert first[0].startswith("teacher  epoch   1  loss ")
    (kept,) = (tmp_path / "cache/tuner/teachers").iterdir()
    assert re.fullmatch(r"resnet8-digits-[0-9a-f]{12}\.pt", kept.name)
    assert first[-2] == f"{kept}  sha256 {hashlib.sha256(kept.read_bytes()).hexdigest()}"
    assert first[-1] == f"use it with --teacher resnet8@{kept}"
    _, second, _ = run("teach", *TEACHER)
    assert second == first[1:]
    # Another schedule is another teacher.
    _, other, _ = run("teach", *TEACHER, "--teacher-lr", "0.1")
    assert other[0].startswith("teacher  epoch   1")


def test_a_teachers_accuracy_is_measured_when_it_is_imported(run, tmp_path):
    weights = models.build("resnet8", 10).state_dict()
    torch.save({"net": {f"module.{key}": value for key, value in weights.items()}}, "theirs.pt")
    status, out, err = run(
        "teach", "--teacher", "resnet8@theirs.pt", "--limit", "100", "--output", "out/ours.pt"
    )
    assert (status, err) == (0, [])
    assert re.fullmatch(r"validation accuracy \d+\.\d\d %", out[0])
    assert re.fullmatch(r"test accuracy \d+\.\d\d %", out[1])
    assert out[3] == f"use it with --teacher resnet8@{tmp_path}/out/ours.pt"
    ours = torch.load("out/ours.pt", weights_only=True)["model"]
    assert all(torch.equal(ours[key], weights[key]) for key in weights)
    assert not (tmp_path / "cache/tuner/teachers").exists()


def test_a_teacher_that_diverges_is_reported_and_not_kept(run, tmp_path):
    status, out, (sentence,) = run("teach", *TEACHER, "--teacher-lr", "1e30")
    assert (status, out) == (1, [])
    assert re.match(r"tuner: the term 'ce' became \w+ at epoch 1, ", sentence)
    assert sentence.endswith("; lower --teacher-lr")
    assert list((tmp_path / "cache/tuner/teachers").iterdir()) == []


# distill


def test_a_student_is_distilled_from_a_best_yaml(run, tmp_path):
    torch.save(models.build("resnet8", 10).state_dict(), "t.pt")
    best = {
        "data": "digits",
        "limit": 100,
        "teacher": "resnet8@t.pt",
        "student": "resnet8",
        "epochs": 2,
        "lr_decay_epochs": [1],
        "method": "itrd",
        "set": {"alpha": 1.5, "kernel": "rbf", "h": 2.0, "log2": True},
    }
    Path("best.yaml").write_text(yaml.safe_dump(best))
    ours = ["--epochs", "1", "--set", "h=1", "--test", "--output", "s.pt"]
    status, out, err = run("distill", "--config", "best.yaml", *ours)
    assert (status, err) == (0, [])
    assert [line.split()[0] for line in out] == ["student", "test", "student:"]
    assert out[-1] == f"student: {tmp_path}/s.pt"
    student = models.load_checkpoint("s.pt", "resnet8", 10)
    # What was written is what was tested.
    _, verified, _ = run("teach", "--teacher", "resnet8@s.pt", "--limit", "100")
    assert verified[1] == out[1]
    assert not student.training


def test_distilling_trains_a_missing_teacher_first_and_keeps_it(run):
    arguments = ["distill", *SMALL, "--teacher-epochs", "2"]
    _, first, _ = run(*arguments)
    _, second, _ = run(*arguments)
    assert [(who, epoch) for who, _, epoch, *_ in map(str.split, first)] == [
        ("teacher", "1"),
        ("teacher", "2"),
        ("student", "1"),
    ]
    # After the last epoch of each no time is left.
    assert [line.endswith(" left") for line in first] == [True, False, False]
    assert without_seconds(second) == without_seconds(first[2:])


def test_the_plain_student_needs_no_teacher(run, tmp_path):
    status, out, err = run("distill", "--method", "plain", *SMALL)
    # The test set is read only with --test.
    assert (status, err, [line.split()[0] for line in out]) == (0, [], ["student"])
    assert not (tmp_path / "cache/tuner/teachers").exists()


def test_a_student_that_diverges_is_reported(run):
    torch.save(models.build("resnet8", 10).state_dict(), "t.pt")
    status, out, (sentence,) = run(
        "distill", *SMALL, "--teacher", "resnet8@t.pt", "--lr", "1e30", "--output", "s.pt"
    )
    assert (status, out) == (1, [])
    assert sentence.endswith("; lower --lr or the method's weights")
    assert not Path("s.pt").exists()


def without_seconds(lines: list[str]) -> list[str]:
    return [line.rpartition("%")[0] for line in lines]


# report


def test_a_report_is_rebuilt_from_the_journal(run, data_dir):
    from tuner.config.options import SearchRequest
    from tuner.config.run_folder import request_yaml
    from tuner.planning.search import plan_search
    from tuner.results.record import Record
    from tuner.results.trial import SEARCH

    search = plan_search(SearchRequest(space="itrd", name="mine", data_dir=data_dir))
    search.storage.write("search.yaml", request_yaml(search.request))
    record = Record(search.storage)
    record.open(make_header())
    for number in range(3):
        name = f"{number:04d}"
        setting = search.published | {"alpha": 1.5 + number}
        record.begin(
            name=name,
            role=SEARCH,
            setting_label="",
            method="itrd",
            setting=setting,
            seed=0,
            num_epochs=1,
        )
        record.epoch(name, {"epoch": 1.0, "val_accuracy": 50.0 + number, "seconds": 1.0})
        record.end(name, DONE)
    status, out, err = run("report", "mine")
    assert (status, err) == (0, [])
    assert out == [str(Path("runs/mine/report.html").absolute())]
    assert "mine" in Path("runs/mine/report.html").read_text()
    tables = read_tables(Storage("runs/mine"))
    assert [trial.last("val_accuracy") for trial in tables.trials.values()] == [50.0, 51.0, 52.0]
    # The tables alone are enough.
    Path("runs/mine/journal.jsonl").unlink()
    Path("runs/mine/report.html").unlink()
    assert run("report", "mine", "--runs-dir", "runs")[0] == 0
    assert Path("runs/mine/report.html").exists()
