"""Where views keep their rows: each store folds pages of the log into tables, and its position with them."""
