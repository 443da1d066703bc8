//! Whether a wrap opens and what is in it opens the content beside it; the one rule for the walk and for a single event.
//!
//! A wrap that opens proves little: that of another row under the same data key opens as well.

use indelible_core::entry::Outline;
use indelible_core::key::Secret;
use indelible_core::seal::{Address, authenticates, unwrap_key};
use uuid::Uuid;

/// A data key: whose it is, and the key, where it is there.
pub(super) type DataKey = (Uuid, Option<Secret>);

/// Whether `wrap` opens under the data key, which has to be one of the entry's organization, and its key opens `content`.
/// Where the content is gone, which is a finding of its own, the wrap alone is looked at. `outline` is that of the entry.
pub(super) fn opens(
    data_key: Option<&DataKey>,
    outline: Option<&Outline>,
    content: Option<&[u8]>,
    wrap: &[u8],
    buffer: &mut Vec<u8>,
) -> bool {
    let Some((organization_id, Some(secret))) = data_key else { return false };
    let Some(outline) = outline.filter(|outline| outline.organization_id == *organization_id) else { return false };
    let Some(content_key) = unwrap_key(secret, wrap) else { return false };
    let address = Address { organization_id: outline.organization_id, project_id: outline.project_id, event_id: outline.id };
    content.is_none_or(|content| authenticates(content, &address, &content_key, buffer))
}
