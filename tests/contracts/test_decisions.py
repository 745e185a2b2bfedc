"""Replayed searches: the same twice, on tables and on a surrogate, by every strategy."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.decisions import command, record
from benchmarks.decisions.replay import replay
from benchmarks.decisions.settings import settings_of
from benchmarks.decisions.strategies import strategies
from benchmarks.decisions.surrogate import Surrogate
from benchmarks.decisions.worlds import Table, World, point_of
from tuner.planning.rungs import cooldown_epochs

SPACE = record.space_of("mimkd")
STRATEGIES = {strategy.name: strategy for strategy in strategies()}


def rows_of(number: int, seed: int, epochs: int) -> Iterator[dict]:
    """A training whose accuracies tell its setting."""
    for epoch in range(1, epochs + 1):
        row = dict.fromkeys(record.METRICS) | settings_of(SPACE, number + 1)[-1]
        row |= {"number": number, "seed": seed, "schedule": "full", "epoch": float(epoch)}
        row |= {"val_accuracy": 10.0 * number + epoch, "test_accuracy": 10.0 * number + seed}
        if epoch in record.COOLDOWNS:
            row |= {f"cooldown_{length}_accuracy": 50.0 + number for length in (1, 2, 3)}
        yield row


def written(folder: Path, *lengths: int) -> Path:
    """A table with two seeds of a setting per length, in epochs."""
    rows = [
        row
        for number, epochs in enumerate(lengths)
        for seed in (0, 1)
        for row in rows_of(number, seed, epochs)
    ]
    path = folder / "mimkd.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_the_settings_of_a_larger_table_begin_with_those_of_a_smaller_one():
    settings = settings_of(SPACE, 32)
    assert settings[0] == SPACE.published()
    assert settings_of(SPACE, 9) == settings[:9]
    around, everywhere = (
        np.std([point_of(SPACE, one) for one in settings[start::2]], axis=0) for start in (2, 1)
    )
    assert (around < everywhere).all()


def test_a_table_gives_the_curves_of_the_nearest_setting(tmp_path):
    table = Table(written(tmp_path, 40, 40, 40), SPACE, 40, record.drops())
    curve = table.train(settings_of(SPACE, 2)[1], np.random.default_rng(0))
    assert curve.values.tolist() == [10.0 + epoch for epoch in range(1, 41)]
    assert {epoch: cooled[0] for epoch, cooled in curve.cooled.items()} == dict.fromkeys(
        record.COOLDOWNS, 51.0
    )
    assert table.noise == pytest.approx(0.5**0.5)
    assert table.regret(settings_of(SPACE, 3)[2]) == pytest.approx(0.0, abs=0.5)


def test_a_table_that_lacks_epochs_is_refused(tmp_path, monkeypatch, capsys):
    path = written(tmp_path, 40, 39)
    monkeypatch.setattr(
        record, "table_of", lambda method: path if method == "mimkd" else tmp_path / "no"
    )
    monkeypatch.setattr(command, "SURROGATES", {"mimkd": 1.0})
    with pytest.raises(SystemExit) as ended:
        command.main(
            ["replay", "--trials", "1", "--searches", "2", "--output", str(tmp_path / "o")]
        )
    assert ended.value.code == 2
    assert (
        f"{path}: setting 1, seed 0 lacks epochs; record the table again" in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_replayed_search_gives_the_same_outcome_twice(name):
    world: World = Surrogate(SPACE, published_regret=1.0)
    first, again = (replay(world, STRATEGIES[name], num_trials=5, seed=3) for _ in range(2))
    assert first == again
    assert first.regret >= 0
    assert 1 / world.num_epochs < first.trainings <= 5 * (1 + 2 / world.num_epochs)


def test_the_final_trainings_decide_what_is_handed_out():
    """The search hands out settings that are worse than the published one more often."""
    world: World = Surrogate(SPACE, published_regret=0.2)
    worse = {
        name: sum(
            replay(world, STRATEGIES[name], num_trials=8, seed=seed).gain < 0 for seed in range(30)
        )
        for name in ("TPE, cooldown", "TPE, cooldown, finals decide")
    }
    assert worse["TPE, cooldown, finals decide"] < 0.7 * worse["TPE, cooldown"]


def test_the_products_rungs_were_recorded():
    assert set(cooldown_epochs("cooldown", record.EPOCHS)) <= set(record.COOLDOWNS)
