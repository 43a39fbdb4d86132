"""A package outside poisonlib: one attack, augmentation, filter, network and data set, as a user would write them."""
