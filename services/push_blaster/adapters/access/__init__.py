"""Tables of tokens, of the audit log and of failed sign-ins."""
