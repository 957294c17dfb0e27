"""A model to step through in a browser: take any step, go back, look for a state."""
