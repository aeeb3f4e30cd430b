"""The software behind a security@ address."""

__version__ = "0.1.0"
