//! The derived index.

pub(crate) mod ids;
