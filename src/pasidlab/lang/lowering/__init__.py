"""From functions of the IR to a model: contexts, program counters, reductions."""
