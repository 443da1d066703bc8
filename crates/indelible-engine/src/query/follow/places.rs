//! How many may follow at once: each holds a connection and a batch, and one key is not to take the places of all others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

/// Followers at once.
const ALL_MAX: usize = 256;
/// Those of one key.
const OF_ONE_MAX: usize = 32;

/// The places that are taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<Option<Uuid>, usize>>>);

/// One of them; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    whose: Option<Uuid>,
}

impl Places {
    /// Takes one for a key, where one is left.
    pub(super) fn take(&self, whose: Option<Uuid>) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        if all >= ALL_MAX || taken.get(&whose).is_some_and(|own| *own >= OF_ONE_MAX) {
            return None;
        }
        *taken.entry(whose).or_default() += 1;
        Some(Place { places: self.clone(), whose })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
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

    #[test]
    fn places_are_bounded_for_all_and_for_each_and_come_back() {
        let places = Places::default();
        let key = |n| Some(Uuid::from_u128(n));
        let own: Vec<_> = (0..OF_ONE_MAX).map(|_| places.take(key(1)).expect("a place")).collect();
        assert!(places.take(key(1)).is_none() && places.take(None).is_some());
        let others: Vec<_> = (0..ALL_MAX - OF_ONE_MAX).map(|n| places.take(key(100 + n as u128)).expect("a place")).collect();
        assert!(places.take(key(2)).is_none());
        drop(own);
        assert!(places.take(key(2)).is_some() && places.take(key(1)).is_some());
        drop(others);
        assert!(places.0.lock().expect("whole").is_empty());
    }
}
