"""State that models keep between calls: walked, its rows taken, its newest tokens cut off."""
