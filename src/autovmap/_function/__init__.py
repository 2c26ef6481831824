"""What a user holds: the decorated object, its bound form, and the methods they share."""
