"""Sign-in, sessions, tokens and the audit log."""
