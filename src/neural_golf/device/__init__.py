"""Networks as C for microcontrollers: a plan of stages, their tables, whole numbers, the text."""
