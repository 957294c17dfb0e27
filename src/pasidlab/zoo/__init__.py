"""The zoo: historical bugs of FPU and PASID handling, each a small change to one kernel function, with its fixed twin."""

from pasidlab.zoo.catalogue import CATALOGUE, Bug
from pasidlab.zoo.specimen import buggy, fixed

__all__ = ["CATALOGUE", "Bug", "buggy", "fixed"]
