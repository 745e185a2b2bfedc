"""The papers' tables and figures: `tuner reproduce NAME`. A declaration each, found by name."""

from tuner.reproductions.experiment import Experiment
from tuner.reproductions.papers import crd, itrd, mimkd

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (*itrd.EXPERIMENTS, *mimkd.EXPERIMENTS, *crd.EXPERIMENTS)
}
