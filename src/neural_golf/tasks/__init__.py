"""Folders in which the whole pipeline runs on data of one's own: `golf new`."""
