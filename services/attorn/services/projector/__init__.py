"""The process that keeps the views at the end of the log and answers what they are asked."""
