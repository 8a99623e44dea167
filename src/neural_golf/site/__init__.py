"""The page: what it shows as typed values, the templates that show it, the runtime, CSS and JavaScript."""
