"""Released and benchmark files, fetched and verified; the miniature world."""
