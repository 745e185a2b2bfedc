"""Runs out of memory within a share of the GPU, as a trial would, and prints what it sees."""

import gc
import sys

import torch

import models


def _overflow() -> None:
    network = models.build("wrn_40_2", 100).to("cuda")
    kept = [network(torch.randn(256, 3, 32, 32, device="cuda")).logits for _ in range(200)]
    assert kept


def _report_and_exit() -> None:
    big = torch.empty(100 << 20, dtype=torch.uint8, device="cuda")
    assert big.is_cuda
    sys.exit(0)  # as tune.report does in a trial that the scheduler stops


def main() -> None:
    torch.cuda.set_per_process_memory_fraction(0.012)
    caught = "none"
    try:
        _overflow()
    except torch.OutOfMemoryError:
        caught = "torch.OutOfMemoryError"
    except RuntimeError as error:
        caught = f"another RuntimeError: {str(error)[:150]}"
    gc.collect()
    torch.cuda.empty_cache()
    reserved = torch.cuda.memory_reserved() >> 20
    print(f"caught {caught}, reserved afterwards {reserved} MiB")  # noqa: T201
    try:
        try:
            _report_and_exit()
        finally:
            gc.collect()
            torch.cuda.empty_cache()
            held = torch.cuda.memory_allocated() >> 20
            print(f"an early-stopped trial still holds {held} MiB in its finally")  # noqa: T201
    except SystemExit:
        pass


if __name__ == "__main__":
    main()
