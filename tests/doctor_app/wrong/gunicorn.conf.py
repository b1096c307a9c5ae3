graceful_timeout = 20  # AW109
