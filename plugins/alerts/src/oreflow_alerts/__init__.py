"""Alert channels: log lines, webhooks, e-mail, and what apprise reaches."""
