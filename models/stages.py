"""Shared by the residual families: runs the stages, collects their maps, pools, classifies."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from models.network import Continuation, pooled
from models.outputs import Outputs


def run_stages(stem: Tensor, stages: Sequence[nn.Sequential], classifier: nn.Linear) -> Outputs:
    """Runs `stages` of blocks on the stem's map [B, C, H, W] and pools the last map globally.

    A block returns its sum before the last ReLU; the ReLU is applied here, so that the maps on
    both sides of it can be returned. As in the CRD framework's list, the stem's map is after
    its ReLU in both dictionaries.
    """
    feature_maps = {"stem": stem}
    pre_activation_maps = {"stem": stem}
    x = stem
    for number, stage in enumerate(stages, start=1):
        for block in stage:
            before_relu = block(x)
            x = F.relu(before_relu)
        feature_maps[f"stage{number}"] = x
        pre_activation_maps[f"stage{number}"] = before_relu
    embedding = x.mean(dim=(2, 3))
    return Outputs(
        classifier(embedding),
        embedding,
        feature_maps,
        pre_activation_maps,
        classifier=classifier.weight,
    )


def continue_stages(
    stages: Sequence[nn.Sequential], again: nn.Sequential, classifier: nn.Linear
) -> Continuation:
    """What `run_stages` does after each stage; `again` repeats the last one at its own width."""
    following = (*stages[1:], again)
    return Continuation(
        {f"stage{number}": _with_relus(stage) for number, stage in enumerate(following, start=1)},
        pooled(classifier),
    )


def _with_relus(stage: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(*(layer for block in stage for layer in (block, nn.ReLU(inplace=True))))
