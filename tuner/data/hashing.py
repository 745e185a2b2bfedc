"""Random numbers as a pure function of integers: splitmix64 on whole arrays.

Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014; constants as in Vigna's public-domain splitmix64.c.
"""

import numpy as np

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def hash_numbers(numbers: np.ndarray, *key: int) -> np.ndarray:
    """One uniform uint64 per number; `numbers` are integers [...], the result is uint64 [...].

    The key says what the draw is for (a stream, a seed, an epoch); each of its integers is
    taken modulo 2**64.
    """
    # Arrays of one element: NumPy warns when a scalar overflows.
    state = np.zeros(1, np.uint64)
    for part in key:
        state = _splitmix64(state ^ np.uint64(part % 2**64))
    return _splitmix64(state ^ np.asarray(numbers).astype(np.uint64))


def _splitmix64(x: np.ndarray) -> np.ndarray:
    x = x + _INCREMENT
    x = (x ^ (x >> _SHIFTS[0])) * _FACTORS[0]
    x = (x ^ (x >> _SHIFTS[1])) * _FACTORS[1]
    return x ^ (x >> _SHIFTS[2])
