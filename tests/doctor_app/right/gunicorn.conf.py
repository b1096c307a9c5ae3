graceful_timeout = 60
