//! Whether a wrap opens and what is in it opens the content beside it; the one rule for the walk and for a single event.
//!
//! A wrap that opens proves little: that of another row under the same data key opens as well. One that does not is a fault, also where
//! the organization's key is gone; where its file is there and cannot be used, nobody can tell.

use indelible_core::entry::Outline;
use indelible_core::key::Secret;
use indelible_core::seal::{Address, authenticates, unwrap_key};
use indelible_core::verify::Wrap;
use uuid::Uuid;

/// A data key: whose it is, and the key.
pub(super) type DataKey = (Uuid, Held);

/// What is there of a data key.
#[derive(Clone)]
pub(crate) enum Held {
    /// The key.
    Key(Secret),
    /// It does not open under its organization's key, or that one is gone.
    Gone,
    /// Its organization's key is there, and cannot be used.
    Closed,
}

/// What becomes of `wrap` under the data key, which has to be one of the entry's organization; its key has to open `content`.
/// Where the content is gone, which is a finding of its own, the wrap alone is looked at. `outline` is that of the entry.
pub(super) fn look(
    data_key: Option<&DataKey>,
    outline: Option<&Outline>,
    content: Option<&[u8]>,
    wrap: &[u8],
    buffer: &mut Vec<u8>,
) -> Wrap {
    let Some((organization_id, held)) = data_key else { return Wrap::Shut };
    let Some(outline) = outline.filter(|outline| outline.organization_id == *organization_id) else { return Wrap::Shut };
    let secret = match held {
        Held::Key(secret) => secret,
        Held::Gone => return Wrap::Shut,
        Held::Closed => return Wrap::Untried,
    };
    let Some(content_key) = unwrap_key(secret, wrap) else { return Wrap::Shut };
    let address = Address { organization_id: outline.organization_id, project_id: outline.project_id, event_id: outline.id };
    let opens = content.is_none_or(|content| authenticates(content, &address, &content_key, buffer));
    if opens { Wrap::Opens } else { Wrap::Shut }
}
