"""The queue of recipes: whoever has a token has them run, one child process each, and watches their progress."""
