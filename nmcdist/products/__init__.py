"""What is made: kinds of datasets, their recipes, plans and tasks."""
