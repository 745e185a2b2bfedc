"""Checks every CUDA path of tuner and measures what a step costs on a GPU."""
