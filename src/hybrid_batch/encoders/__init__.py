"""Encoders: names to SentenceTransformers, and what is done to their weights."""
