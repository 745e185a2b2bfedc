"""Runs trainings on Ray Tune. The only folder that imports Ray."""
