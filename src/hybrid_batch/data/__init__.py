"""Data: corpora to train on and benchmarks to measure with, what they share, and translations. The method itself, in
the folder above, does not depend on how they are read."""
