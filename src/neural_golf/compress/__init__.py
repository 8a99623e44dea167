"""Removing weights: one by one, or in a descent while training goes on."""
