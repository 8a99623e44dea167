"""Training: the one loop, the reference network, the study of its settings."""
