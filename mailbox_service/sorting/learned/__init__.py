"""The trained sorter: weights of words and of what the lexicon knows, learned from labelled mails.

`sorter.TrainedSorter` is the sorter, `model.shipped()` the model in the package; `train` makes that.
"""
