"""Registers the winning student in MLflow as a network that takes plain images."""

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

import models
from tuner.data import Dataset
from tuner.storage.checkpoint import load


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


@dataclass(frozen=True)
class TrainedModel:
    """A network to register."""

    name: str  # in MLflow's registry
    classifier: Classifier
    example: Tensor  # images [2, 3, H, W] in [0, 1], kept beside the network
    card: str  # Markdown


def trained_model(
    name: str, checkpoint: bytes, student: str, dataset: Dataset, card: str
) -> TrainedModel:
    """Builds the network from the checkpoint of a training."""
    example = torch.from_numpy(dataset.images[:2].copy()).float() / 255
    return TrainedModel(name, load_classifier(checkpoint, student, dataset), example, card)


def load_classifier(checkpoint: bytes, student: str, dataset: Dataset) -> Classifier:
    """Builds the student and its normalisation from the checkpoint of a training."""
    network = models.build(student, dataset.num_classes)
    network.load_state_dict(load(checkpoint)["model"])
    return Classifier(network, dataset).eval()


def register(client: Any, run_id: str, uri: str, model: TrainedModel) -> None:
    """Logs the model to a run and registers it, unless an earlier session has done so.

    The card becomes the description of the registered version.
    """
    of_run = f"run_id='{run_id}'"
    if not client.search_model_versions(of_run):
        import mlflow

        with _logging_to(uri), mlflow.start_run(run_id=run_id):
            _log(model)
    for found in client.search_model_versions(of_run):
        if found.description != model.card:
            client.update_model_version(found.name, found.version, model.card)


def _log(model: TrainedModel) -> None:
    import mlflow
    from mlflow.models import infer_signature

    images = model.example.numpy()
    with torch.inference_mode():
        signature = infer_signature(images, model.classifier(model.example).numpy())
    # MLflow announces each registration on standard error, in the middle of our result.
    with contextlib.redirect_stderr(io.StringIO()):
        mlflow.pytorch.log_model(
            model.classifier,
            name="student",
            input_example=images,
            signature=signature,
            pip_requirements=_requirements(),
            registered_model_name=model.name,
        )


def _requirements() -> list[str]:
    """Given, because MLflow would import everything in a new process to infer them (10 s)."""
    # Without a build's suffix ("+cpu"), which no index has.
    return [f"{name}=={version(name).partition('+')[0]}" for name in ("torch", "mlflow")]


@contextlib.contextmanager
def _logging_to(uri: str) -> Iterator[None]:
    """Where `mlflow.pytorch` logs to; without this MLflow would keep it for later searches."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
