"""A training beside its step: its faces, its output folder and its validation."""
