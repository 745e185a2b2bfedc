"""The experiments of each paper, declared as data."""
