//! By what a finding is known again in the next round.
//!
//! Where a chain goes on growing after something was cut or put back, the numbers in the finding change with it, and it is the same
//! finding all the same: there they count for nothing. So they do where rows of an absent key are counted.

use aws_lc_rs::digest::{Context, SHA256};
use indelible_core::hex;
use indelible_core::verify::{Finding, Verdict};
use uuid::Uuid;

/// Bytes of the digest that are kept.
const BYTES: usize = 16;

/// Hex digits that stand for a finding of a project.
pub(super) fn fingerprint(project_id: Uuid, finding: &Finding) -> String {
    let grows = matches!(finding.kind, Verdict::Truncated | Verdict::RolledBack | Verdict::Unverifiable);
    let place = finding.sequence.filter(|_| !grows);
    let detail: String = if grows { finding.detail.split(|c: char| c.is_ascii_digit()).collect() } else { finding.detail.clone() };
    let mut context = Context::new(&SHA256);
    context.update(project_id.as_bytes());
    context.update(finding.kind.as_str().as_bytes());
    context.update(&place.map_or(0, |place| place.wrapping_add(1)).to_be_bytes());
    context.update(detail.as_bytes());
    hex::encode(&context.finish().as_ref()[..BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_with_the_chain_is_one_finding_and_places_are_told_apart() {
        let of = |project: u128, kind, sequence, detail: &str| {
            fingerprint(Uuid::from_u128(project), &Finding { kind, sequence, detail: detail.to_owned() })
        };
        let altered = of(1, Verdict::Altered, Some(7), "the content was changed");
        assert_eq!(altered, of(1, Verdict::Altered, Some(7), "the content was changed"));
        for other in [
            of(2, Verdict::Altered, Some(7), "the content was changed"),
            of(1, Verdict::Altered, Some(8), "the content was changed"),
            of(1, Verdict::Altered, None, "the content was changed"),
            of(1, Verdict::Missing, Some(7), "the content was changed"),
            of(1, Verdict::Altered, Some(7), "the content is gone"),
        ] {
            assert_ne!(altered, other);
        }
        let older =
            |rows: u64| of(1, Verdict::RolledBack, Some(rows), &format!("9 rows were signed, there are {rows}: it is an older copy"));
        assert_eq!(older(5), older(6));
        assert_ne!(of(1, Verdict::Altered, None, "tile 0/1 is gone"), of(1, Verdict::Altered, None, "tile 0/2 is gone"));
    }
}
