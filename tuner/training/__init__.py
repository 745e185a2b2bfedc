"""Plain PyTorch: the training loop, precision, teachers, linear probe, cost."""
