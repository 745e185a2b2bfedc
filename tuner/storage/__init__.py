"""Folders and buckets, retries, checkpoints."""
