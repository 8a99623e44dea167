"""Networks as C for microcontrollers: a plan of fused stages, their tables, the source text, whole numbers."""
