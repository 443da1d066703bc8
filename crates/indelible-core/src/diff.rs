//! RFC 6902 diffs at element level, and the JSON Pointers of what changed.
