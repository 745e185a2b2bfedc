"""The networks: teachers and students, by name, all with the same `Outputs`.

Architectures, parameter names and initial weights are those of the CRD framework
("Contrastive Representation Distillation", arXiv:1910.10699), so that its checkpoints load
as they are. Every network takes normalised images [B, 3, H, W] of 8x8 pixels or more: pooling
is global where the framework's is tied to 32x32. One file per family; the table of names is
`MODELS` in `registry.py`. A person's own networks, torchvision's and timm's have names too
(`own_name.py`) and are made to return `Outputs` (`own_network.py`).
"""

from models.checkpoint import CheckpointError, load_checkpoint
from models.custom.name import identity, short_name, without_layers
from models.errors import UnknownModel
from models.outputs import Outputs, Shapes, shapes_of
from models.pretrained import is_published, load_published
from models.registry import MODELS, build, build_untrained, canonical_name

__all__ = [
    "MODELS",
    "CheckpointError",
    "Outputs",
    "Shapes",
    "UnknownModel",
    "build",
    "build_untrained",
    "canonical_name",
    "identity",
    "is_published",
    "load_checkpoint",
    "load_published",
    "shapes_of",
    "short_name",
    "without_layers",
]
