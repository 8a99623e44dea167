"""The referee's parts. The public face is `neural_golf.verify`; nothing here loads torch."""

__all__: list[str] = []
