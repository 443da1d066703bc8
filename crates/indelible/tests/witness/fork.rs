//! A ledger that somebody with all of its keys puts back, or tells otherwise, together with its checkpoint store: nothing on its own
//! machine shows it, and the witness does.

use std::path::Path;

use indelible_engine::cosigning::FailureKind;

use crate::house::{House, copy, kinds, log_key};
use crate::process::{Witness, add};

fn copy_both(from: &Path, to: &Path) {
    copy(from, to);
    let beside = |data: &Path| data.with_extension("checkpoints");
    copy(&beside(from), &beside(to));
}

fn suspicions(store: &Path) -> i64 {
    let memory = rusqlite::Connection::open(store.join("witness.db")).expect("it opens");
    memory.query_row("SELECT count(*) FROM suspicions", [], |row| row.get(0)).expect("a table")
}

#[test]
fn an_older_copy_and_a_second_history_are_seen_by_the_witness_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, older, forked) = (folder.path().join("data"), folder.path().join("older"), folder.path().join("forked"));
    let store = folder.path().join("one");
    let witness = Witness::start(&store, &[&log_key(&data)]);
    let policy = format!("witness one {} {}/\nquorum one\n", witness.key, witness.url);

    let house = House::open(&data, Some(&policy));
    house.grow("alice");
    house.until("cosigned", |status| status.is_fulfilled);
    house.ledger.close();
    // Closing sealed once more; what that left is cosigned when it is opened again.
    let house = House::open(&data, Some(&policy));
    let shared = house.until("cosigned", |status| status.is_fulfilled && status.witnesses[0].succeeded_at.is_some()).size;
    house.ledger.close();
    copy_both(&data, &older);
    copy_both(&data, &forked);

    let house = House::open(&data, Some(&policy));
    house.grow("bob");
    house.grow("carol");
    let went_on = house.until("cosigned", |status| status.is_fulfilled && status.size > shared).size;
    house.ledger.close();
    assert_eq!(suspicions(&store), 0);

    // The older copy is opened, and nothing is appended.
    let house = House::open(&older, Some(&policy));
    let status = house.until("seen", |status| status.witnesses[0].failing.is_some());
    assert_eq!(kinds(&status), [Some(FailureKind::RolledBack)], "{status:?}");
    house.ledger.close();

    let house = House::open(&forked, Some(&policy));
    let mut n = 0;
    while house.status().size <= went_on {
        house.grow(&format!("mallory {n}"));
        n += 1;
    }
    assert!(house.ledger.status().refusing.is_none(), "on its own machine nothing shows");
    let size = house.status().size;
    let status = house.until("seen", |status| kinds(status) == [Some(FailureKind::Forked)]);
    assert!(!status.is_fulfilled && status.witnesses[0].size <= Some(shared), "{status:?}");
    let shown = house.checkpoints();
    assert_eq!(shown.newest.expect("one").cosigned_by, []);
    assert!(shown.cosigned.expect("an older one").size <= shared);
    assert!(suspicions(&store) >= 1);
    house.ledger.close();

    // The witness still stands by what it saw first, whatever is sent.
    let text = rusqlite::Connection::open(forked.join("ledger.db")).expect("it opens");
    let note: String =
        text.query_row("SELECT checkpoint FROM instance_checkpoints WHERE size = ?1", [size as i64], |row| row.get(0)).expect("a note");
    assert_eq!(add(&witness.url, &format!("old {went_on}\n\n{note}")).expect("it answers").status, if size == went_on { 409 } else { 422 });
    // The true ledger goes on.
    let house = House::open(&data, Some(&policy));
    house.grow("dave");
    house.until("cosigned", |status| status.is_fulfilled && status.size > went_on);
}
