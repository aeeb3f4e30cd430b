"""Training of the sorter: needs the extra `train`, and is no part of the service."""

import os

# Several threads add up in an order of their own, and the same input would not make the same bytes. Read when NumPy is
# imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
