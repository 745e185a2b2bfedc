"""Ray Tune and Optuna: the only package that knows either."""
