"""Reproduces the papers' tables and figures: `tuner reproduce NAME`."""
