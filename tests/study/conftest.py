"""The studies that tests of studies look at."""

from small import copy_without, finished

__all__ = ["copy_without", "finished"]
