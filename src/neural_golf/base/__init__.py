"""What everything else stands on: errors, files, long work, statistics. It knows nothing of networks."""
