"""Draw the papers' tables and figures from the results of their trainings."""
