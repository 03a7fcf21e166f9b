"""Released files, fetched and verified; and the miniature world."""
