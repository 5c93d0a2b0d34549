"""Surrogates: from the structure of a volume to its properties, learned from finished stores."""
