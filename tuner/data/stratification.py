"""Stratified order: its first n rows are a stratified choice, for every n."""

import numpy as np

from tuner.data.hashing import hash_numbers


def stratified_order(rows: np.ndarray, labels: np.ndarray, *key: int) -> np.ndarray:
    """Orders rows so that the first n, for every n, hold the classes in proportion.

    `rows` are int64 [R], `labels` [R] their classes; returns int64 [R]. The key selects one of
    many orders. Each class enters once before any enters twice; after that, places are
    allocated by Webster's method (a class of size s gets its place r at (r + 1/2) / s). Unlike
    the largest-remainder method it never takes a place away when n grows, so the choices nest.
    """
    hashes = hash_numbers(rows, *key)
    by_class = np.lexsort((hashes, labels))
    rows, labels, hashes = rows[by_class], labels[by_class], hashes[by_class]
    _, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    rank = np.arange(len(rows)) - np.repeat(first, sizes)
    place = np.where(rank == 0, 0.0, (rank + 0.5) / np.repeat(sizes, sizes))
    return rows[np.lexsort((hashes, place))]
