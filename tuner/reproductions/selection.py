"""Chooses the pairs and variants that a request asks for, and refuses options without effect."""

from dataclasses import replace

import models
from search_spaces import SpaceError, load_space
from search_spaces.wording import list_of, suggestion
from tuner.config.options import ReproduceRequest
from tuner.reproductions.experiment import Experiment, Pair, Variant
from tuner.text.errors import RequestError


def select(experiment: Experiment, request: ReproduceRequest) -> Experiment:
    """The experiment with only the pairs and variants asked for, or with others in their place.

    Raises RequestError or SpaceError for an option that does not apply, UnknownModel.
    """
    _check_options(experiment, request)
    selected = replace(
        experiment,
        pairs=_pairs(experiment, request),
        variants=_variants(experiment, request),
    )
    _check_pins(selected, request)
    return selected


def _check_options(experiment: Experiment, request: ReproduceRequest) -> None:
    for option in ("probe_data", "memory_cap"):
        if getattr(request, option) is not None and option not in experiment.options:
            raise RequestError(
                f"{experiment.name} does not use {option}; leave out --{option.replace('_', '-')}"
            )
    if not experiment.variants:
        for option in ("methods", "seeds", "epochs"):
            if getattr(request, option) is not None and option not in experiment.options:
                raise RequestError(f"{experiment.name} trains nothing; leave out --{option}")


def _pairs(experiment: Experiment, request: ReproduceRequest) -> tuple[Pair, ...]:
    pairs = list(experiment.pairs)
    if request.pairs is not None:
        pairs = [_parsed(text) for text in request.pairs]
    if request.teacher is not None:
        name, _, checkpoint = request.teacher.partition("@")
        pairs = [replace(pair, teacher=name, checkpoint=checkpoint) for pair in pairs]
    if request.student is not None:
        pairs = [replace(pair, student=request.student) for pair in pairs]
    given = {models.canonical_name(name): file for name, file in request.checkpoint.items()}
    canonical = [
        Pair(teacher, models.canonical_name(pair.student), given.get(teacher, pair.checkpoint))
        for pair in pairs
        for teacher in [models.canonical_name(pair.teacher)]
    ]
    for name in given:
        if name not in {pair.teacher for pair in canonical}:
            raise RequestError(f"no pair has the teacher {name}; leave out its --checkpoint")
    return tuple(dict.fromkeys(canonical))


def _parsed(text: str) -> Pair:
    words = text.replace("torchvision:", "torchvision\0").replace("timm:", "timm\0").split(":")
    if len(words) != 2 or not all(words):
        raise RequestError(f"{text!r} is not a pair of networks; write teacher:student")
    teacher, student = (word.replace("\0", ":") for word in words)
    name, _, checkpoint = teacher.partition("@")
    return Pair(name, student, checkpoint)


def _variants(experiment: Experiment, request: ReproduceRequest) -> tuple[Variant, ...]:
    """All variants, or those whose label or method is asked for."""
    if request.methods is None:
        return experiment.variants
    known = {name for variant in experiment.variants for name in (variant.label, variant.method)}
    for name in request.methods:
        if name not in known:
            raise RequestError(
                f"{experiment.name} has no method {name!r}{suggestion(name, sorted(known))} "
                f"known: {list_of(sorted(known))}"
            )
    labels = {variant.label for variant in experiment.variants}
    return tuple(
        variant
        for variant in experiment.variants
        if variant.label in request.methods
        # crd asks for the variant labelled crd, not for crd+kd, whose method is crd too.
        or (variant.method in request.methods and variant.method not in labels)
    )


def _check_pins(experiment: Experiment, request: ReproduceRequest) -> None:
    """Refuses a hyperparameter that no variant has, or that the experiment itself varies."""
    for name in request.set:
        method, dot, parameter = name.rpartition(".")
        variants = [
            variant
            for variant in experiment.variants
            if variant.method != "plain" and (not dot or variant.method == method)
        ]
        declared = {
            declared.name for variant in variants for declared in load_space(variant.method).params
        }
        if parameter not in declared:
            raise SpaceError(
                f"no method of {experiment.name} has a hyperparameter {name!r}"
                f"{suggestion(parameter, sorted(declared))} known: {list_of(sorted(declared))}"
            )
        if ":" in request.set[name]:
            raise SpaceError(
                f"--set {name}={request.set[name]} is a range, but nothing is searched here; "
                "give one value"
            )
        if all(parameter in variant.values for variant in variants):
            raise RequestError(f"{experiment.name} sets {parameter} itself; leave out --set {name}")
