"""A way through a model as a list of moves: made again by the interpreter, and told step by step."""
