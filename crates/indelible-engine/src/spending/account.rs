//! The sums of one spender: in all, and by day as far back as a period that goes on may reach. What they take in memory is bounded:
//! what finds no room of its own is summed beside the others, and counts for more rather than for less.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::period::{Day, day};
use super::usage::{Tokens, Usage};

/// Days that are kept apart: two months and a little more, so that any period that goes on is whole.
const DAYS_KEPT: Day = 63;
/// Currencies that sums keep apart.
const CURRENCIES_MAX: usize = 16;
/// Bytes of the models that sums keep apart, their names included: a few hundred models.
const MODELS_BYTES_MAX: usize = 48 * 1024;
/// What a sum takes beside its name, bytes, roughly.
const SUM_BYTES: usize = 96;

/// What a spender used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) total: Sums,
    pub(super) days: BTreeMap<Day, Sums>,
    /// Whether some of it may have been summed with others'.
    pub(super) partial: bool,
}

/// Sums of a day, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sums {
    /// Costs that events named, millionths by currency.
    pub(super) costs: BTreeMap<String, u64>,
    /// Tokens of events that named none, by provider and model.
    pub(super) tokens: BTreeMap<String, BTreeMap<String, Tokens>>,
    /// Costs in currencies beyond those, whichever.
    pub(super) more_costs: u64,
    /// Tokens of models beyond those.
    pub(super) more_tokens: Tokens,
    /// What the models take.
    models_bytes: usize,
}

impl Account {
    /// Takes in what was used, where `newest` is the latest day of all.
    pub(super) fn add(&mut self, usage: &Usage, newest: Day) {
        self.total.add(usage);
        let day = day(usage.at);
        if is_kept(day, newest) {
            self.days.entry(day).or_default().add(usage);
        }
    }

    /// Whether taking this in needs no more memory.
    pub(super) fn has_room_for(&self, usage: &Usage, newest: Day) -> bool {
        let day = day(usage.at);
        self.total.has_room_for(usage) && (!is_kept(day, newest) || self.days.get(&day).is_some_and(|sums| sums.has_room_for(usage)))
    }

    /// Whether it holds days that are over long ago.
    pub(super) fn is_old(&self, newest: Day) -> bool {
        self.days.first_key_value().is_some_and(|(first, _)| !is_kept(*first, newest))
    }

    /// Lets go of them.
    pub(super) fn forget_days(&mut self, newest: Day) {
        self.days.retain(|day, _| is_kept(*day, newest));
    }

    /// What it takes, bytes, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.total.bytes() + self.days.values().map(Sums::bytes).sum::<usize>()
    }
}

const fn is_kept(day: Day, newest: Day) -> bool {
    day > newest - DAYS_KEPT
}

impl Sums {
    fn add(&mut self, usage: &Usage) {
        if let Some((micros, currency)) = &usage.cost {
            self.add_cost(currency, *micros);
        } else if let Some(model) = &usage.model {
            self.add_tokens(&usage.provider, model, usage.tokens);
        }
    }

    /// Takes in all of others.
    pub(super) fn merge(&mut self, others: &Self) {
        for (currency, micros) in &others.costs {
            self.add_cost(currency, *micros);
        }
        for (provider, models) in &others.tokens {
            for (model, tokens) in models {
                self.add_tokens(provider, model, *tokens);
            }
        }
        self.more_costs = self.more_costs.saturating_add(others.more_costs);
        self.more_tokens.add(others.more_tokens);
    }

    fn add_cost(&mut self, currency: &str, micros: u64) {
        let is_apart = self.costs.len() < CURRENCIES_MAX || self.costs.contains_key(currency);
        let sum = if is_apart { self.costs.entry(currency.to_owned()).or_default() } else { &mut self.more_costs };
        *sum = sum.saturating_add(micros);
    }

    fn add_tokens(&mut self, provider: &str, model: &str, tokens: Tokens) {
        if let Some(sum) = self.tokens.get_mut(provider).and_then(|models| models.get_mut(model)) {
            return sum.add(tokens);
        }
        if self.models_bytes >= MODELS_BYTES_MAX {
            return self.more_tokens.add(tokens);
        }
        self.models_bytes += SUM_BYTES + provider.len() + model.len();
        self.tokens.entry(provider.to_owned()).or_default().insert(model.to_owned(), tokens);
    }

    fn has_room_for(&self, usage: &Usage) -> bool {
        match (&usage.cost, &usage.model) {
            (Some((_, currency)), _) => self.costs.contains_key(currency) || self.costs.len() >= CURRENCIES_MAX,
            (None, Some(model)) => {
                self.models_bytes >= MODELS_BYTES_MAX || self.tokens.get(&usage.provider).is_some_and(|models| models.contains_key(model))
            }
            (None, None) => true,
        }
    }

    fn bytes(&self) -> usize {
        SUM_BYTES + self.costs.len() * SUM_BYTES + self.models_bytes
    }
}
