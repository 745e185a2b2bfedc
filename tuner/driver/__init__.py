"""One task (a search, or fixed trainings) from start to end, and groups of several."""
