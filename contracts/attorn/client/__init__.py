"""What other Python systems use: send commands, publish facts, ask the views, follow the feed, work as an agent."""
