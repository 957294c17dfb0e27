"""What the modelling language means, a second time: the functions of a model run as plain Python, searched without any reduction.

Nothing of the compiler takes part: no front end, no IR, no lowering. A function of a model becomes a Python generator
that stops at each access to state (``rewrite``); a context that stands between two steps is such a generator (``frames``);
a step goes from one access to the next (``steps``); the search is breadth first over plain tuples (``search``).
"""
