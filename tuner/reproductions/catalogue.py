"""The reproductions by name: each experiment with its artefact."""

from collections.abc import Callable
from dataclasses import dataclass

from search_spaces.wording import suggestion
from tuner.reproductions.artefacts.ablations import alphas, betas, kernels, log2
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.benchmark import benchmark
from tuner.reproductions.artefacts.convergence import convergence
from tuner.reproductions.artefacts.critics import critics
from tuner.reproductions.artefacts.imagenet import imagenet
from tuner.reproductions.artefacts.landscape import landscape
from tuner.reproductions.artefacts.negatives import negatives
from tuner.reproductions.artefacts.paired_maps import paired_maps
from tuner.reproductions.artefacts.probes import check_probe_data
from tuner.reproductions.artefacts.relative_cost import relative_cost
from tuner.reproductions.artefacts.shallow import shallow
from tuner.reproductions.artefacts.transfer import transfer
from tuner.reproductions.experiment import Experiment
from tuner.reproductions.papers import crd, itrd, mimkd
from tuner.reproductions.planning import Reproduction
from tuner.reproductions.results import Results
from tuner.text.errors import RequestError


@dataclass(frozen=True)
class Entry:
    """A reproduction: its experiment, its artefact and its check."""

    experiment: Experiment
    artefact: Callable[[Results], Artefact]
    # Raises RequestError for a request that cannot be carried out, before anything is trained.
    check: Callable[[Reproduction], None] = lambda reproduction: None


CATALOGUE = {
    entry.experiment.name: entry
    for entry in (
        Entry(itrd.LOG, log2),
        Entry(itrd.KERNEL, kernels),
        Entry(itrd.TRANSFER, transfer, check_probe_data),
        Entry(itrd.ALPHA, alphas),
        Entry(itrd.BETA, betas),
        Entry(itrd.COST, relative_cost),
        Entry(itrd.CONVERGENCE, convergence),
        Entry(mimkd.PAIRS, paired_maps),
        Entry(mimkd.CRITICS, critics),
        Entry(mimkd.SHALLOW, shallow),
        Entry(mimkd.LANDSCAPE, landscape),
        Entry(mimkd.NEGATIVE_COUNTS, negatives),
        Entry(mimkd.IMAGENET, imagenet),
        Entry(crd.BENCHMARK, benchmark),
    )
}


def find_entry(name: str) -> Entry:
    """Raises RequestError for an unknown name."""
    if name not in CATALOGUE:
        raise RequestError(
            f"unknown reproduction {name!r}{suggestion(name, CATALOGUE)} "
            f"known: {', '.join(CATALOGUE)}"
        )
    return CATALOGUE[name]
