"""What the columns of a log mean: their names, what the first rows hold, and the plan that follows."""
