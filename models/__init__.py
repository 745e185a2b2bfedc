"""Teacher and student networks by name, all with the same `Outputs`.

Architectures, parameter names and initial weights are those of the CRD framework
("Contrastive Representation Distillation", arXiv:1910.10699), so its checkpoints load
unchanged. Every network takes normalised images [B, 3, H, W] of 8x8 pixels or more: pooling
is global where the framework's is tied to 32x32. There is one file per family; `registry.py`
has the table of names, `MODELS`. `custom/` adapts networks from the user's own files,
torchvision and timm.
"""

from models.checkpoint import CheckpointError, load_checkpoint
from models.custom.name import identity, short_name, without_layers
from models.errors import UnknownModel
from models.outputs import Outputs, Shapes, shapes_of
from models.pretrained import is_pretrained, load_pretrained
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
    "is_pretrained",
    "load_checkpoint",
    "load_pretrained",
    "shapes_of",
    "short_name",
    "without_layers",
]
