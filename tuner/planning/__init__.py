"""Plans what a search trains and when, without Ray."""
