"""Runs one task, or a group of them, from start to end."""
