"""Usage in: rows of a frame, a file or a cluster become measurements that are known to have been counted."""
