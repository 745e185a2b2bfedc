"""Distillation losses: one file per method, by name in `LOSSES`."""

from losses.ab import AB
from losses.at import AT
from losses.batch import Batch, TrainingData
from losses.cc import CC
from losses.crcd import CRCD
from losses.crd import CRD
from losses.dist import DIST
from losses.dkd import DKD
from losses.fitnet import FitNet
from losses.fsp import FSP
from losses.ft import FT
from losses.hsakd import HSAKD
from losses.itrd import ITRD
from losses.kd import KD
from losses.loss import DistillationLoss, InitialStage, LossError
from losses.mimkd import MIMKD
from losses.nst import NST
from losses.objective import COMMON, Objective, build_objective
from losses.pkt import PKT
from losses.plain import Plain
from losses.reviewkd import ReviewKD
from losses.rkd import RKD
from losses.sp import SP
from losses.vid import VID
from losses.wcord import WCoRD

LOSSES: dict[str, type[DistillationLoss]] = {
    "ab": AB,
    "at": AT,
    "cc": CC,
    "crcd": CRCD,
    "crd": CRD,
    "dist": DIST,
    "dkd": DKD,
    "fitnet": FitNet,
    "fsp": FSP,
    "ft": FT,
    "hsakd": HSAKD,
    "itrd": ITRD,
    "kd": KD,
    "mimkd": MIMKD,
    "nst": NST,
    "pkt": PKT,
    "plain": Plain,
    "reviewkd": ReviewKD,
    "rkd": RKD,
    "sp": SP,
    "vid": VID,
    "wcord": WCoRD,
}

__all__ = [
    "COMMON",
    "LOSSES",
    "Batch",
    "DistillationLoss",
    "InitialStage",
    "LossError",
    "Objective",
    "Plain",
    "TrainingData",
    "build_objective",
]
