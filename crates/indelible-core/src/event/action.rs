//! The catalogue of actions that Indelible itself knows: which the engine alone may write, and which chain
//! an event of the engine belongs to.

/// Whether only the engine may write this action: `audit.read`, `content.decrypt`, `key.*`, `integrity.*` and the
/// actions of its own resources.
pub fn is_engine_only(action: &str) -> bool {
    unimplemented!("{action}")
}

/// The category of an action: up to its first dot, unless the catalogue says otherwise.
pub fn category(action: &str) -> &str {
    unimplemented!("{action}")
}
