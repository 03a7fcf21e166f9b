"""What methods share, which of them there are, and how labels are made with one."""
