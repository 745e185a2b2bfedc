"""Reports: statistics, figures and pages of searches, and the model card of a student."""
