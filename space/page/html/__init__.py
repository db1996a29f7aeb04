"""What the tabs show, rendered as HTML; everything from outside is escaped."""
