"""Send the batches of a push."""
