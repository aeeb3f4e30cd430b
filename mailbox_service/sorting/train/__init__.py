"""Training: `python -m mailbox_service.sorting.train` rebuilds the shipped model. Needs the extra `train`."""
