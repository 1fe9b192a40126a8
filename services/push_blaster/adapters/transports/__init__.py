"""The transports that carry messages to devices: FCM, Web Push, webhooks, a file."""
