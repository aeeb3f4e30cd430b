"""Training of the sorter: needs the extra `train` (NumPy, SciPy), which nothing else does. See docs/model-card.md."""
