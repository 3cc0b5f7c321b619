"""A training beside its step: its output folder, validation and view of identity."""
