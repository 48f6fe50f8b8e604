"""The package's version, read by hatchling too."""

__version__ = "0.1.0"
