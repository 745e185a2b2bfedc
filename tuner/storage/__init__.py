"""Folders and object stores, retries, checkpoints."""
