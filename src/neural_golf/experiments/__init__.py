"""Experiments that no record depends on: the handbook, the search, the teacher."""
