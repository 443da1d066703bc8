//! How many may do something at once that takes long: each holds a connection, a thread or a file, and neither one of them nor one
//! organization is to take the places of all others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

/// How many there are, and how many of those one of them may have: a key, say, or a project.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) all: usize,
    pub(crate) of_one: usize,
}

impl Limits {
    /// Those of one organization: some are always left for another one.
    pub(crate) const fn of_organization(self) -> usize {
        let most = self.all / 4 * 3;
        if most < self.of_one { self.of_one } else { most }
    }
}

/// An organization, and which of its keys or projects.
type Whose = (Uuid, Option<Uuid>);

/// The places that are taken.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    limits: Limits,
    taken: Arc<Mutex<HashMap<Whose, usize>>>,
}

/// One of them; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    whose: Whose,
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, taken: Arc::default() }
    }

    /// Takes one for one of an organization, where one is left.
    pub(crate) fn take(&self, organization: Uuid, one: Option<Uuid>) -> Option<Place> {
        let whose = (organization, one);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let together: usize = taken.iter().filter(|((other, _), _)| *other == organization).map(|(_, count)| count).sum();
        let own = taken.get(&whose).copied().unwrap_or_default();
        if all >= self.limits.all || together >= self.limits.of_organization() || own >= self.limits.of_one {
            return None;
        }
        taken.insert(whose, own + 1);
        Some(Place { places: self.clone(), whose })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.whose) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn places_are_bounded_for_all_for_an_organization_and_for_each_and_come_back() {
        let places = Places::new(Limits { all: 8, of_one: 3 });
        let own: Vec<_> = (0..3).map(|_| places.take(id(1), Some(id(10))).expect("a place")).collect();
        assert!(places.take(id(1), Some(id(10))).is_none(), "one has as many as it may");
        let siblings: Vec<_> = (0..3).map(|n| places.take(id(1), Some(id(20 + n))).expect("a place")).collect();
        assert!(places.take(id(1), None).is_none(), "the organization has as many as it may");
        let others = [places.take(id(2), None).expect("a place"), places.take(id(3), Some(id(10))).expect("a place")];
        assert!(places.take(id(4), None).is_none(), "all are taken");
        drop(own);
        assert!(places.take(id(1), Some(id(10))).is_some() && places.take(id(4), None).is_some());
        drop((siblings, others));
        assert!(places.taken.lock().expect("whole").is_empty());
    }

    #[test]
    fn where_there_are_few_one_may_have_what_is_said() {
        let places = Places::new(Limits { all: 2, of_one: 2 });
        let both = [places.take(id(1), None), places.take(id(1), None)];
        assert!(both.iter().all(Option::is_some) && places.take(id(1), None).is_none());
    }
}
