"""Distillation methods: one file each, found by name in `LOSSES`."""

from losses.batch import Batch
from losses.itrd import ITRD
from losses.loss import DistillationLoss, LossError
from losses.mimkd import MIMKD
from losses.plain import Plain

LOSSES: dict[str, type[DistillationLoss]] = {"itrd": ITRD, "mimkd": MIMKD, "plain": Plain}

__all__ = ["ITRD", "LOSSES", "MIMKD", "Batch", "DistillationLoss", "LossError", "Plain"]
