"""Parts that several methods share: critics, memory banks, estimators, pairs of stages."""
