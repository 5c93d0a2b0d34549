"""Kinds of datasets: their recipes, plans and tasks."""
