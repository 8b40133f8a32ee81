"""The finished study that tests of the landscape look at."""

from small import copy_without, finished

__all__ = ["copy_without", "finished"]
