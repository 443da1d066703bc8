//! What sums come to for a budget: tokens are priced when somebody asks, so a price that is set late, or set right, counts for what was
//! used before.

use std::collections::{BTreeMap, HashMap};

use super::account::Sums;
use super::period::{self, Day};
use super::tally::Taken;
use super::usage::Tokens;
use crate::resource::kinds::budgets::{Budget, Period};
use crate::resource::kinds::model_prices::ModelPrice;

/// Tokens that a price is for.
const PRICED_TOKENS: u128 = 1_000_000;

/// What models cost: for each provider and model, whether the price is the project's own.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    by_model: HashMap<String, HashMap<String, (ModelPrice, bool)>>,
}

/// What was spent, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Spent {
    /// Millionths of the budget's currency, rounded up.
    pub(crate) micros: u64,
    /// Tokens of models without a price in that currency.
    pub(crate) unpriced_tokens: u64,
    /// Costs that events named in other currencies, millionths of each. They count for nothing.
    pub(crate) other_costs: BTreeMap<String, u64>,
    /// Whether it is at most this, for some of it was summed with what others used.
    pub(crate) at_most: bool,
}

impl Prices {
    /// Takes in a price. A project's own stands before its organization's.
    pub(crate) fn set(&mut self, price: ModelPrice, own: bool) {
        let models = self.by_model.entry(price.model.clone()).or_default();
        if own || !models.get(&price.provider).is_some_and(|(_, own)| *own) {
            models.insert(price.provider.clone(), (price, own));
        }
    }

    /// The price of a model; of one whose provider was not said, where there is only one of that name.
    fn of(&self, provider: &str, model: &str) -> Option<&ModelPrice> {
        let models = self.by_model.get(model)?;
        let only = || models.values().next().filter(|_| provider.is_empty() && models.len() == 1);
        models.get(provider).or_else(only).map(|(price, _)| price)
    }

    /// What tokens of a model that is not known come to at most.
    fn dearest(&self, currency: &str, tokens: Tokens) -> Option<u128> {
        let all = self.by_model.values().flat_map(HashMap::values).map(|(price, _)| price);
        all.filter(|price| price.currency == currency).map(|price| cost(price, tokens)).max()
    }
}

/// A sum in the making, in millionths of a millionth, so that nothing is rounded before the end.
#[derive(Default)]
struct Sum {
    micros: u128,
    spent: Spent,
}

impl Sum {
    fn add(&mut self, sums: &Sums, currency: &str, prices: &Prices) {
        for (named, micros) in &sums.costs {
            if named == currency {
                self.micros = self.micros.saturating_add(u128::from(*micros).saturating_mul(PRICED_TOKENS));
            } else {
                let sum = self.spent.other_costs.entry(named.clone()).or_default();
                *sum = sum.saturating_add(*micros);
            }
        }
        // It may be among those that were not kept apart.
        if sums.more_costs > 0 && !sums.costs.contains_key(currency) {
            self.micros = self.micros.saturating_add(u128::from(sums.more_costs).saturating_mul(PRICED_TOKENS));
            self.spent.at_most = true;
        }
        for (provider, models) in &sums.tokens {
            for (model, tokens) in models {
                let price = prices.of(provider, model).filter(|price| price.currency == currency);
                self.add_tokens(price.map(|price| cost(price, *tokens)), *tokens);
            }
        }
        if sums.more_tokens != Tokens::default() {
            let dearest = prices.dearest(currency, sums.more_tokens);
            self.spent.at_most |= dearest.is_some();
            self.add_tokens(dearest, sums.more_tokens);
        }
    }

    fn add_tokens(&mut self, cost: Option<u128>, tokens: Tokens) {
        match cost {
            Some(cost) => self.micros = self.micros.saturating_add(cost),
            None => self.spent.unpriced_tokens = self.spent.unpriced_tokens.saturating_add(all(tokens)),
        }
    }
}

impl Taken {
    /// What counts for a budget on a day.
    pub(crate) fn spent(&self, budget: &Budget, prices: &Prices, today: Day) -> Spent {
        let mut sum = Sum::default();
        for (account, is_others) in [(&self.own, false), (&self.others, true)] {
            let Some(account) = account else { continue };
            let mut add = |sums: &Sums| {
                sum.spent.at_most |= is_others && *sums != Sums::default();
                sum.add(sums, &budget.currency, prices);
            };
            match period::bounds(budget.period, today) {
                None if budget.period == Period::Total => add(&account.total),
                None => {}
                Some((first, next)) => account.days.range(first..next).for_each(|(_, sums)| add(sums)),
            }
        }
        Spent { micros: u64::try_from(sum.micros.div_ceil(PRICED_TOKENS)).unwrap_or(u64::MAX), ..sum.spent }
    }
}

fn cost(price: &ModelPrice, tokens: Tokens) -> u128 {
    let parts = [
        (tokens.input, price.input_micros_per_million),
        (tokens.output, price.output_micros_per_million),
        (tokens.cache_read, price.cache_read_micros_per_million.unwrap_or(price.input_micros_per_million)),
        (tokens.reasoning, price.reasoning_micros_per_million.unwrap_or(price.output_micros_per_million)),
    ];
    parts.into_iter().map(|(tokens, micros)| u128::from(tokens) * u128::from(micros)).fold(0, u128::saturating_add)
}

const fn all(tokens: Tokens) -> u64 {
    tokens.input.saturating_add(tokens.output).saturating_add(tokens.cache_read).saturating_add(tokens.reasoning)
}
