"""Parts that several methods share: critics, memory banks, estimators, stages."""
