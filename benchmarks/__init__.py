"""Speed and memory, always as a ratio against a baseline measured in the same run.

`python -m benchmarks --help`, from the repository's root.
"""
