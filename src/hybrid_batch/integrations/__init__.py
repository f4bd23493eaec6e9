"""Bridges to other tools: translation models and mteb. Nothing else of the package needs them but the command line."""
