"""The papers' tables and figures: `tuner reproduce NAME`. A declaration each, found by name."""

from tuner.reproductions import crd, itrd, mimkd
from tuner.reproductions.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (*itrd.EXPERIMENTS, *mimkd.EXPERIMENTS, *crd.EXPERIMENTS)
}
