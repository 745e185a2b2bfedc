"""Finds the best hyperparameters of a knowledge distillation."""

__version__ = "0.1.0"
