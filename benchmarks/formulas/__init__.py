"""Every method's published formula, as a research script would write it.

What ours is measured against (`python -m benchmarks losses`) and checked with
(tests/contracts/test_formulas.py). Written from the formulas, not from anyone's code. A formula
takes the setting, the heads and the memory from the loss that it is given, and nothing else of it;
images and teacher's outputs are whole.
"""

from collections.abc import Callable

from torch import Tensor

from benchmarks.formulas import embeddings, logits, maps, memories, mutual_information, stages

Formula = Callable[..., Tensor]  # (loss, student, teacher, batch) to the sum of its terms

# Those of the training.
FORMULAS: dict[str, Formula] = {
    "at": stages.at,
    "cc": embeddings.cc,
    "crcd": memories.crcd,
    "crd": memories.crd,
    "dist": logits.dist,
    "dkd": logits.dkd,
    "fitnet": maps.fitnet,
    "ft": maps.ft,
    "hsakd": logits.hsakd,
    "itrd": embeddings.itrd,
    "kd": logits.kd,
    "mimkd": mutual_information.mimkd,
    "nst": stages.nst,
    "pkt": embeddings.pkt,
    "reviewkd": stages.reviewkd,
    "rkd": embeddings.rkd,
    "sp": maps.sp,
    "vid": stages.vid,
    "wcord": memories.wcord,
}
# Those of the initial stage.
INITIAL_FORMULAS: dict[str, Formula] = {
    "ab": stages.ab_initial,
    "fsp": stages.fsp_initial,
    "ft": maps.ft_initial,
    "hsakd": logits.hsakd_initial,
}
