"""The ledger, its batches, and the pace of sends."""
