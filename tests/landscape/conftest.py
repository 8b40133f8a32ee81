"""The finished study that tests of the landscape look at."""

from small import finished

__all__ = ["finished"]
