"""What ``twinbert demo`` searches and asks: this Python's documentation, judged questions, an update."""
