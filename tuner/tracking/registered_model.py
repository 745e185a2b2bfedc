"""The winning student as a network that people can use: images in, logits out."""

import contextlib
import io
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

import models
from tuner.data import Dataset


def _requirements() -> list[str]:
    """Given, because inferring them means importing everything in a new process (ten seconds)."""
    # Without what a build adds to its version ("+cpu"), which no index has.
    return [f"{name}=={version(name).partition('+')[0]}" for name in ("torch", "mlflow")]


class Classifier(nn.Module):
    """A trained student with its normalisation: float images [B, 3, H, W] in [0, 1] to logits."""

    def __init__(self, student: nn.Module, dataset: Dataset) -> None:
        super().__init__()
        self.student = student
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(dataset.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(dataset.std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, classes]."""
        logits: Tensor = self.student((images - self.mean) / self.std).logits
        return logits


def load_classifier(checkpoint: bytes, student: str, dataset: Dataset) -> Classifier:
    """Builds it from the checkpoint of a training."""
    network = models.build(student, dataset.num_classes)
    saved = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)
    network.load_state_dict(saved["model"])
    return Classifier(network, dataset).eval()


def log_to_mlflow(classifier: Classifier, dataset: Dataset, registered_name: str) -> str:
    """Logs the classifier to the active MLflow run and registers it; returns the model's URI."""
    import mlflow
    from mlflow.models import infer_signature

    images = torch.from_numpy(dataset.images[:2].copy()).float() / 255
    with torch.inference_mode():
        signature: Any = infer_signature(images.numpy(), classifier(images).numpy())
    # MLflow announces each registration on standard error, in the middle of our result.
    with contextlib.redirect_stderr(io.StringIO()):
        logged = mlflow.pytorch.log_model(
            classifier,
            name="student",
            input_example=images.numpy(),
            signature=signature,
            pip_requirements=_requirements(),
            registered_model_name=registered_name,
        )
    return str(logged.model_uri)
