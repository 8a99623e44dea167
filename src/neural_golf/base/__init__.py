"""What everything stands on: errors, files, long work, statistics. It knows no network."""
