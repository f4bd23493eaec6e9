"""Hybrid batch training for multilingual retrieval (arXiv 2408.10536), and what
batches made from reasoning tasks add to it."""

import warnings

# tqdm's advice to install widgets would stand in every notebook of the book.
warnings.filterwarnings("ignore", message="IProgress not found")
