"""The frontier: the fewest non-zero parameters at a given accuracy, chosen without the test set."""
