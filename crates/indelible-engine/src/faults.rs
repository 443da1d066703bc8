//! Failing on purpose: the hook that the fault tests use to break each write of the writer.

/// A write of the writer, in the order in which a transaction does them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// BEGIN
    Begin,
    /// INSERT into events
    Event,
    /// INSERT into contents
    Content,
    /// INSERT into wraps
    Wrap,
    /// INSERT into tiles
    Tile,
    /// UPSERT into heads
    Head,
    /// UPSERT into resources
    Resource,
    /// INSERT into anchors and the tables of the instance tree
    Anchor,
    /// INSERT into cosignatures
    Cosignature,
    /// UPSERT into the cursors and deliveries of streams
    Stream,
    /// DELETE from the inbox
    Drained,
    /// COMMIT, which fsyncs
    Commit,
    /// The signing of an anchor, by whoever signs: a write that is none, and may take long
    Sign,
    /// The swap of checkpoints in the checkpoint store, outside of the ledger
    Swap,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// Before the write: it failed.
    Before,
    /// After the write: it failed, but persisted.
    After,
}

/// Decides which writes fail. Production has none.
pub trait Faults: Send + Sync + 'static {
    /// Whether this write is to fail now, as an I/O error.
    fn strikes(&self, write: Write, when: When) -> bool;
}
