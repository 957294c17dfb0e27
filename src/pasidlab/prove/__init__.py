"""Proofs for any number of CPUs and tasks. ``general`` has the conditions, ``induction`` the proof."""
