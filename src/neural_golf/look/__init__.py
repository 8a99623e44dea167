"""What the stage `interpret` measures (`measure`) and draws (`anatomy`, `vision`, `overview`)."""
