"""What two studies came to: tables of augmentations, and of learning without labels."""
