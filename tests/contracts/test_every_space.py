"""Every search space: its setting builds the loss, its grid and samples too."""

import inspect

import optuna
import pytest

from losses import COMMON, LOSSES, Objective, build_objective
from search_spaces import SPACES, Epochs, Fixed, Setting, Space
from tests.contracts.test_every_loss import pair_of

# Heads so narrow that a thousand of them are built at once.
NARROW = {"mimkd": {"width": "2"}}

every_space = pytest.mark.parametrize("name", SPACES)


def space_of(name: str) -> Space:
    return SPACES[name].narrow(NARROW.get(name, {}))


def build(name: str, setting: Setting) -> Objective:
    return build_objective(LOSSES[name], *pair_of(name), setting)


@every_space
def test_the_method_exists_and_takes_exactly_these_hyperparameters(name):
    space = SPACES[name]
    assert space.method == name
    signature = inspect.signature(LOSSES[space.method].__init__).parameters.values()
    keywords = [p for p in signature if p.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [*(p.name for p in keywords), *COMMON] == [p.name for p in space.params]
    # Values live in the space, in one place.
    assert all(p.default is inspect.Parameter.empty for p in keywords)


@every_space
def test_common_hyperparameters_reach_the_objective(name):
    published = SPACES[name].published()
    objective = build(name, published)
    assert {key: getattr(objective, key) for key in COMMON} == {k: published[k] for k in COMMON}


def test_every_method_but_plain_training_has_a_space():
    assert set(SPACES) == set(LOSSES) - {"plain"}


@every_space
@pytest.mark.parametrize("num_epochs", [1, 24, 240])
def test_the_published_setting_suits_a_training_of_any_length(name, num_epochs):
    space = SPACES[name].for_epochs(num_epochs)
    assert space.excludes_published() == ()
    assert not any(isinstance(parameter, Epochs) for parameter in space.params)
    build(name, space.published())


@every_space
def test_the_published_setting_is_in_the_space_and_has_a_source(name):
    space = SPACES[name]
    assert space.source
    assert space.excludes_published() == ()
    assert space.complete(space.published()) == space.published()
    assert space.complete({}) == space.published()
    build(name, space.published())


@every_space
def test_every_setting_of_the_grid_builds_the_loss(name):
    space = space_of(name)
    grid = space.grid()
    names = [parameter.name for parameter in space.params]
    assert len({tuple(setting.items()) for setting in grid}) == len(grid)
    for setting in grid:
        assert list(setting) == names
        assert space.complete(setting) == setting
        build(name, setting)


@every_space
def test_every_suggestion_builds_the_loss(name):
    space = space_of(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    fixed = {parameter.name for parameter in space.params if isinstance(parameter, Fixed)}
    for _ in range(25):
        trial = study.ask()
        setting = space.suggest(trial)
        assert list(setting) == [parameter.name for parameter in space.params]
        assert space.complete(setting) == setting
        assert fixed.isdisjoint(trial.params)
        assert {key: setting[key] for key in trial.params} == trial.params
        build(name, setting)


@every_space
def test_the_published_setting_can_be_enqueued(name):
    space = SPACES[name]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(space.published())
    assert space.suggest(study.ask()) == space.published()


@every_space
def test_the_table_describes_every_hyperparameter(name):
    space = SPACES[name]
    table = space.table()
    assert [row["name"] for row in table] == [parameter.name for parameter in space.params]
    assert all(isinstance(text, str) for row in table for text in row.values())
