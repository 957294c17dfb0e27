"""Models that are not about PASIDs."""
