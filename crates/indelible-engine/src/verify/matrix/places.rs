//! What is wrong with the instance tree is told with the instance's own project, whose sequences say nothing of it: the sentence says where
//! it is, by position, size or tile.

use indelible_core::verify::Verdict::{self, Altered, Missing, Truncated};

use super::forge::Forge;

/// Where leaf 5 of the default project lies.
const LEAF: &str = "SELECT position FROM instance_leaves WHERE project = 3 AND number = 5";
const LEAVES_LEFT: &str = "SELECT min(position) FROM instance_leaves WHERE number = 130";
/// Where the tile that is not full begins.
const EDGE: &str = "SELECT count(*) / 256 * 256 FROM instance_leaves";
const FIRST_CHECKPOINT: &str = "SELECT min(size) FROM instance_checkpoints";
const LAST_COSIGNED: &str = "SELECT max(size) FROM cosignatures";

/// What is done; where it is, asked before; how; how it shows; the words before the place.
type Place = (&'static str, &'static str, &'static str, Verdict, &'static str);

const PLACES: &[Place] = &[
    (
        "a leaf",
        LEAF,
        "UPDATE instance_leaves SET leaf = (SELECT leaf FROM instance_leaves WHERE project = 3 AND number = 6) WHERE project = 3 AND number = 5",
        Altered,
        "at position ",
    ),
    ("a leaf deleted", LEAF, "DELETE FROM instance_leaves WHERE project = 3 AND number = 5", Missing, "the first of them at position "),
    ("an anchor deleted", LEAF, "DELETE FROM anchors WHERE project = 3 AND number = 5", Missing, "has a leaf at position "),
    ("the last leaves deleted", LEAVES_LEFT, "DELETE FROM instance_leaves WHERE number = 130", Truncated, "there are "),
    ("a tile", "SELECT 0", "UPDATE instance_tiles SET hashes = zeroblob(8192)", Altered, "tile 0/0, from position "),
    ("a tile deleted", "SELECT 0", "DELETE FROM instance_tiles", Altered, "tile 0/0, from position "),
    ("the edge", EDGE, "UPDATE instance_edge SET hashes = zeroblob(32) WHERE level = 0", Altered, "at level 0, from position "),
    (
        "a checkpoint",
        FIRST_CHECKPOINT,
        "UPDATE instance_checkpoints SET checkpoint = (SELECT checkpoint FROM instance_checkpoints ORDER BY size DESC LIMIT 1) WHERE size = (SELECT min(size) FROM instance_checkpoints)",
        Altered,
        "the checkpoint of ",
    ),
    (
        "a cosignature",
        LAST_COSIGNED,
        "UPDATE cosignatures SET line = replace(line, substr(line, 40, 1), char(unicode(substr(line, 40, 1)) + 1)) WHERE size = (SELECT max(size) FROM cosignatures)",
        Altered,
        "beside the checkpoint of ",
    ),
    (
        "a cosignature moved to a size that was not signed",
        "SELECT max(size) + 1 FROM cosignatures",
        "UPDATE cosignatures SET size = size + 1 WHERE size = (SELECT max(size) FROM cosignatures)",
        Altered,
        "of a checkpoint of ",
    ),
    ("a signing key", "SELECT 1", "UPDATE signing_keys SET public_key = zeroblob(32)", Altered, "signing key "),
];

#[test]
fn what_is_wrong_with_the_instance_tree_says_where() {
    for (what, place, how, verdict, words) in PLACES {
        let forge = Forge::new();
        let place: i64 = forge.db.query_row(place, [], |row| row.get(0)).expect(what);
        forge.sql(how);
        let reports = forge.verify();
        let said = format!("{words}{place}");
        let of = |report: &indelible_core::verify::Report| {
            report.findings.iter().any(|finding| {
                let after = finding.detail.split_once(&said).map(|(_, after)| after);
                finding.kind == *verdict && after.is_some_and(|after| !after.starts_with(|next: char| next.is_ascii_digit()))
            })
        };
        assert!(reports.iter().any(of), "{what}, {said}: {reports:#?}");
    }
}
