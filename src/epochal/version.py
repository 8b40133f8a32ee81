"""The version, where everything below the package's face can read it."""

__version__ = "0.1.0"
