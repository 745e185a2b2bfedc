"""The papers' experiments, and what the papers print of them."""
