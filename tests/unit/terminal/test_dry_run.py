"""`--dry-run`: what would run, and not a byte written."""

import re
from pathlib import Path

import pytest

from search_spaces import SPACES
from tuner.config.command_line import ENVIRONMENT
from tuner.search import main

GRID = ["--space", "mimkd", "--algo", "grid"]
PINNED = [
    "--space",
    "kd",
    "--set",
    "ce_weight=0.5",
    "--set",
    "kd_weight=2",
    "--set",
    "temperature=2",
]


@pytest.fixture
def dry_run(tmp_path, monkeypatch, capfd):
    """Runs a dry run in an empty folder that stays empty; returns what it prints."""
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments: str) -> str:
        assert main(["--dry-run", *arguments]) == 0
        out, err = capfd.readouterr()
        assert err == ""
        assert [path.name for path in tmp_path.rglob("*")] == ["here"]
        return out

    return run


@pytest.mark.parametrize(
    ("algo", "scheduler"), [("tpe", "asha"), ("gp", "none"), ("cmaes", "none")]
)
def test_the_default_scheduler_suits_the_sampler(dry_run, algo, scheduler):
    assert f"({algo}, {scheduler})" in dry_run("--space", "mimkd", "--algo", algo)


def test_an_epoch_budget_allows_as_many_trials_as_may_be_stopped_early(dry_run):
    text = dry_run("--space", "kd", "--epochs", "10", "--epoch-budget", "40")
    assert "at most 40 trials of 10 epochs and 40 epochs in all (tpe, asha)" in text
    text = dry_run("--space", "kd", "--epochs", "10", "--epoch-budget", "41", "--scheduler", "none")
    assert "at most 4 trials of at most 10 epochs and 41 epochs in all, then" in text


def numbers(text: str) -> tuple[int, int, int, int]:
    """Trials, epochs of a trial, final trainings, epochs of one."""
    sentence = " ".join(text.split())
    found = re.search(
        r"(\d+) trials? of at most (\d+) epochs?, "
        r"then at most (\d+) final trainings? of (\d+) epochs?",
        sentence,
    )
    assert found
    return tuple(map(int, found.groups()))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--space", "itrd"], (16, 4, 9, 4)),
        (["--space", "itrd", "--trials", "40", "--epochs", "9", "--seeds", "1"], (40, 9, 3, 9)),
        (["--space", "itrd", "--data", "cifar100"], (16, 240, 9, 240)),
        (["--space", "itrd", "--algo", "grid"], (1029, 4, 9, 4)),
        (["--space", "itrd", "--algo", "grid", "--trials", "100"], (100, 4, 9, 4)),
        # The published weights are not multiples of 0.25: one more than the grid's 125.
        (GRID, (126, 4, 9, 4)),
        # Nothing is searched, but the pinned setting is compared with the published one.
        (PINNED, (1, 4, 9, 4)),
        (["--space", "kd", "--set", "ce_weight=0.1"], (16, 4, 9, 4)),
        ([*GRID, "--set", "lambda_l=0.5", "--set", "lambda_f=0.5", "--epochs", "2"], (5, 2, 9, 2)),
    ],
)
def test_trials_and_epochs_are_counted(dry_run, arguments, expected):
    assert numbers(dry_run(*arguments)) == expected


def test_the_workload_is_shown_resolved(dry_run, tmp_path):
    text = dry_run("--space", "itrd", "--data", "cifar10", "--student", "ShuffleNetV1")
    shown = dict(re.findall(r"^\s*(\w+) {2,}(\S.*?) *$", text, re.MULTILINE))
    assert shown["student"] == "ShuffleV1"
    assert shown["teacher"] == "resnet32x4"
    assert shown["lr"] == "0.01"
    assert shown["lr_decay_epochs"] == "(150, 180, 210)"
    assert shown["data_dir"] == str(tmp_path / ".cache/tuner")
    assert "itrd from resnet32x4 to ShuffleV1 on cifar10, 16 trials of 240 epochs" in text


@pytest.mark.parametrize("name", SPACES)
def test_every_hyperparameter_has_a_row(dry_run, name):
    text = dry_run("--space", name, "--data", "cifar100")
    rows = {line.split()[0]: line for line in text.splitlines() if line.split()}
    for row in SPACES[name].table():
        assert row["range"] in rows[row["name"]]
        assert row["when"] in rows[row["name"]]


def test_what_the_preset_sets_of_a_method_is_stated(dry_run):
    text = dry_run("--space", "mimkd")
    assert "the preset digits sets width=64, num_locations=16; override with --set" in text
    assert "fixed: 64" in text
    own = dry_run("--space", "mimkd", "--set", "width=32", "--set", "num_locations=none")
    assert "the preset digits" not in own
    assert "fixed: 32" in own


def test_a_pin_that_excludes_the_published_setting_is_stated(dry_run):
    text = dry_run("--space", "mimkd", "--set", "lambda_l=0.5")
    assert "--set excludes the published lambda_l" in text
    assert "--set excludes" not in dry_run("--space", "mimkd")


def test_ranking_on_the_test_set_is_stated(dry_run):
    assert "ranked on the test set" in dry_run("--space", "itrd", "--select-on", "test")


def test_a_custom_space_is_read_from_its_file(dry_run, tmp_path):
    own = Path(__file__).parents[3] / "search_spaces" / "itrd.py"
    assert numbers(dry_run("--space", str(own), "--algo", "grid"))[0] == 1029


def test_names_are_shown_as_they_are(dry_run, tmp_path_factory):
    name = "[red]x[bold]"
    space = tmp_path_factory.mktemp("spaces") / f"{name}.py"
    space.write_text(
        "from search_spaces import Space, kd\n"
        f"SPACE = Space('kd', kd.SPACE.params, source={name!r})\n"
    )
    text = dry_run("--space", str(space))
    assert name in map(str.strip, text.splitlines())  # the source of the published values


def test_a_comparison_shows_a_search_per_space(dry_run):
    words = " ".join(dry_run("--space", "kd,at", "--trials", "4", "--seeds", "2").split())
    assert "one search per space" in words
    assert (
        "8 trials of at most 4 epochs, then at most 10 final trainings (2 seeds of each method's"
        " tuned and published setting, and of plain)" in words
    )
