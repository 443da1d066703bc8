//! Who is said to be at work is the actor of captured rows, until the transaction ends.

use indelible_postgres::{Actor, RefusalKind};
use serde_json::json;

use crate::driver::{Driver, Work};
use crate::place::Place;

#[test]
fn the_actor_that_was_set_is_that_of_the_rows_of_its_transaction() {
    let (place, ledger) = Place::new();
    place.owner.run(&format!("GRANT CREATE ON SCHEMA public TO {}", place.role));
    place.host().run("CREATE TABLE watched (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY)");
    place.host().run("SELECT audit.watch('watched')");
    let actor = Actor::agent("a-1").display("A 1").on_behalf_of("alice");
    let own = "INSERT INTO watched DEFAULT VALUES";
    for mut driver in Driver::both(&place, &place.role) {
        driver.run(&Work { actor: Some(&actor), own, ..Work::default() }).expect("done");
        driver.run(&Work { actor: Some(&Actor::anonymous()), own, ..Work::default() }).expect("done");
        driver.run(&Work { own, ..Work::default() }).expect("done");
        let refusal = driver.run(&Work { actor: Some(&Actor::human("")), own, ..Work::default() }).expect_err("refused");
        assert_eq!((refusal.kind, refusal.pointer.as_str()), (RefusalKind::Invalid, "/actor/id"));
    }
    place.drained();
    let records = place.events(&ledger, ledger.default_project_id(), r#"action eq "watched.create""#);
    let actors: Vec<_> = records.iter().map(|record| record["actor"].clone()).collect();
    let said = json!({"type": "agent", "id": "a-1", "display": "A 1", "on_behalf_of": "alice"});
    let of_each = [said, json!({"type": "anonymous"}), json!({"type": "system", "id": place.role})];
    assert_eq!(actors, [of_each.clone(), of_each].concat());
}
