"""A live kernel's trace events: recorded, counted, and held against the model."""
