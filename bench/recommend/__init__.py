"""What to ship: the methods that a budget allows, and a decision over their cells."""
