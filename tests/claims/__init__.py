"""What each alert claims, by subject: silence first, then its number, word for word."""
