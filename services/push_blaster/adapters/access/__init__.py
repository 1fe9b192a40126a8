"""Tables of tokens, of sessions, of stored secrets and of the audit log."""
