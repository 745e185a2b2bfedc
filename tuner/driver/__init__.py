"""One search from start to end."""
