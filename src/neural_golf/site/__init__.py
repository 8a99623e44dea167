"""The parts of the page: its words, the runtime, and its HTML, CSS and JavaScript."""
