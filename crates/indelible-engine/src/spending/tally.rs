//! Sums of what was used, for each project, agent and model, by day and in all.
//!
//! Tokens are summed as tokens, and priced when somebody asks: so a price that is set late, or set right, counts for what was used
//! before. The sums follow from the rows alone, in whatever order they are added.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::period::{self, Day, day};
use super::usage::{Tokens, Usage};
use crate::resource::kinds::budgets::{Budget, Period, SpenderKind};
use crate::resource::kinds::model_prices::ModelPrice;

/// Days that are kept apart: two months and a little more, so that any period that goes on is whole.
const DAYS_KEPT: Day = 63;
/// Tokens that a price is for.
const PRICED_TOKENS: u128 = 1_000_000;

/// What was used in each project, by its number in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tallies {
    projects: BTreeMap<i64, Spenders>,
    /// The latest day on which anything was used.
    newest: Day,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Spenders {
    project: Account,
    agents: BTreeMap<String, Account>,
    models: BTreeMap<String, Account>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    total: Sums,
    days: BTreeMap<Day, Sums>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    /// Costs that events named, millionths by currency.
    costs: BTreeMap<String, u64>,
    /// Tokens of events that named none, by provider and model.
    tokens: BTreeMap<String, BTreeMap<String, Tokens>>,
}

/// What models cost: for each provider and model, whether the price is the project's own.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    by_model: HashMap<String, HashMap<String, (ModelPrice, bool)>>,
}

/// What was spent, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Spent {
    /// Millionths of the budget's currency, rounded up.
    pub(crate) micros: u64,
    /// Tokens of models without a price in that currency.
    pub(crate) unpriced_tokens: u64,
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
}

impl Account {
    fn add(&mut self, usage: &Usage, newest: Day) {
        self.total.add(usage);
        let day = day(usage.at);
        if day > newest - DAYS_KEPT {
            self.days.entry(day).or_default().add(usage);
        }
        if self.days.first_key_value().is_some_and(|(first, _)| *first <= newest - DAYS_KEPT) {
            self.days.retain(|day, _| *day > newest - DAYS_KEPT);
        }
    }
}

impl Sums {
    fn add(&mut self, usage: &Usage) {
        if let Some((micros, currency)) = &usage.cost {
            let sum = self.costs.entry(currency.clone()).or_default();
            *sum = sum.saturating_add(*micros);
        } else if let Some(model) = &usage.model {
            self.tokens.entry(usage.provider.clone()).or_default().entry(model.clone()).or_default().add(usage.tokens);
        }
    }
}

impl Tallies {
    /// Takes in what was used in a project.
    pub(crate) fn add(&mut self, project: i64, usage: &Usage) {
        self.newest = self.newest.max(day(usage.at));
        let spenders = self.projects.entry(project).or_default();
        spenders.project.add(usage, self.newest);
        if let Some(agent) = &usage.agent {
            spenders.agents.entry(agent.clone()).or_default().add(usage, self.newest);
        }
        if let Some(model) = &usage.model {
            spenders.models.entry(model.clone()).or_default().add(usage, self.newest);
        }
    }

    /// What counts for a budget of a project on a day.
    pub(crate) fn spent(&self, project: i64, budget: &Budget, prices: &Prices, today: Day) -> Spent {
        let Some(spenders) = self.projects.get(&project) else { return Spent::default() };
        let id = budget.subject.id.as_deref().unwrap_or_default();
        let account = match budget.subject.kind {
            SpenderKind::Project => Some(&spenders.project),
            SpenderKind::Agent => spenders.agents.get(id),
            SpenderKind::Model => spenders.models.get(id),
        };
        let Some(account) = account else { return Spent::default() };
        // In millionths of a millionth, so that nothing is rounded before the end.
        let (mut sum, mut unpriced) = (0_u128, 0_u64);
        let mut add = |sums: &Sums| {
            let costs = u128::from(sums.costs.get(&budget.currency).copied().unwrap_or_default());
            sum = sum.saturating_add(costs.saturating_mul(PRICED_TOKENS));
            for (provider, models) in &sums.tokens {
                for (model, tokens) in models {
                    match prices.of(provider, model).filter(|price| price.currency == budget.currency) {
                        Some(price) => sum = sum.saturating_add(cost(price, *tokens)),
                        None => unpriced = unpriced.saturating_add(all(*tokens)),
                    }
                }
            }
        };
        match period::bounds(budget.period, today) {
            None if budget.period == Period::Total => add(&account.total),
            None => {}
            Some((first, next)) => account.days.range(first..next).for_each(|(_, sums)| add(sums)),
        }
        Spent { micros: u64::try_from(sum.div_ceil(PRICED_TOKENS)).unwrap_or(u64::MAX), unpriced_tokens: unpriced }
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

#[cfg(test)]
mod tests {
    use indelible_core::time::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn budget(kind: &str, id: Option<&str>, period: &str) -> Budget {
        let id = id.map_or(String::new(), |id| format!(r#","id":"{id}""#));
        let text = format!(r#"{{"name":"b","subject":{{"type":"{kind}"{id}}},"period":"{period}","limit_micros":1,"currency":"USD"}}"#);
        serde_json::from_str(&text).expect("a budget")
    }

    fn price(provider: &str, model: &str, input: u64) -> ModelPrice {
        let text = format!(
            r#"{{"provider":"{provider}","model":"{model}","currency":"USD","input_micros_per_million":{input},"output_micros_per_million":{}}}"#,
            input * 5
        );
        serde_json::from_str(&text).expect("a price")
    }

    fn usage(at: &str, agent: &str, model: &str, tokens: Tokens) -> Usage {
        let at = Timestamp::parse(at).expect(at);
        Usage { at, agent: Some(agent.to_owned()), model: Some(model.to_owned()), provider: "p".to_owned(), cost: None, tokens }
    }

    #[test]
    fn spending_is_by_spender_and_period_and_is_rounded_up_once() {
        let mut tallies = Tallies::default();
        let tokens = Tokens { input: 1, output: 1, cache_read: 1, reasoning: 1 };
        for (at, agent, model) in [
            ("2026-11-29T10:00:00Z", "a", "m"),
            ("2026-11-29T11:00:00Z", "b", "m"),
            ("2026-11-23T00:00:00Z", "a", "m"),
            ("2026-11-22T23:59:59Z", "a", "n"),
            ("2026-10-31T23:59:59Z", "a", "m"),
        ] {
            tallies.add(1, &usage(at, agent, model, tokens));
        }
        let mut named = usage("2026-11-29T12:00:00Z", "a", "m", tokens);
        named.cost = Some((1_000, "USD".to_owned()));
        tallies.add(1, &named);
        named.cost = Some((5_000, "EUR".to_owned()));
        tallies.add(1, &named);
        let mut prices = Prices::default();
        // An event costs (1 + 5 + 1 + 5) * 100 / 1,000,000 micros.
        prices.set(price("p", "m", 100), false);
        prices.set(price("q", "n", 100), false);
        let today = day(Timestamp::parse("2026-11-29T20:00:00Z").expect("a time"));
        let cases = [
            ("project", None, "day", 1_001, 0),
            ("project", None, "week", 1_001, 0),
            ("project", None, "month", 1_001, 4),
            ("project", None, "total", 1_001, 4),
            ("agent", Some("b"), "total", 1, 0),
            ("agent", Some("c"), "total", 0, 0),
            ("model", Some("n"), "month", 0, 4),
            ("model", Some("m"), "month", 1_001, 0),
        ];
        for (kind, id, period, micros, unpriced_tokens) in cases {
            let spent = tallies.spent(1, &budget(kind, id, period), &prices, today);
            assert_eq!(spent, Spent { micros, unpriced_tokens }, "{kind} {id:?} {period}");
        }
        assert_eq!(tallies.spent(2, &budget("project", None, "total"), &prices, today), Spent::default());
        // A price that is set right counts for what was used before; the project's own stands before the organization's.
        prices.set(price("p", "m", 100_000_000), true);
        prices.set(price("p", "m", 1), false);
        assert_eq!(tallies.spent(1, &budget("agent", Some("b"), "day"), &prices, today).micros, 1_200);
    }

    #[test]
    fn days_that_are_over_long_ago_are_let_go_and_stay_in_the_total() {
        let mut tallies = Tallies::default();
        let tokens = Tokens { input: 1_000_000, ..Tokens::default() };
        for at in ["2026-01-01T00:00:00Z", "2026-11-29T00:00:00Z", "2026-02-01T00:00:00Z"] {
            tallies.add(1, &usage(at, "a", "m", tokens));
        }
        assert_eq!(tallies.projects[&1].project.days.len(), 1);
        let mut prices = Prices::default();
        prices.set(price("p", "m", 7), false);
        assert_eq!(tallies.spent(1, &budget("project", None, "total"), &prices, 0).micros, 21);
    }

    proptest! {
        #[test]
        fn the_order_of_rows_does_not_matter_and_a_snapshot_is_the_same(
            rows in prop::collection::vec((0_i64..3, 20_000_i32..20_100, 0_u8..3, 0_u64..1_000), 0..40),
            cut in 0_usize..40,
        ) {
            let add = |tallies: &mut Tallies, (project, day, agent, input): &(i64, Day, u8, u64)| {
                let mut usage = usage("2026-11-29T00:00:00Z", &agent.to_string(), "m", Tokens { input: *input, ..Tokens::default() });
                usage.at = period::begin(*day);
                tallies.add(*project, &usage);
            };
            let (mut forwards, mut backwards) = (Tallies::default(), Tallies::default());
            for (row, other) in rows.iter().zip(rows.iter().rev()) {
                add(&mut forwards, row);
                add(&mut backwards, other);
            }
            let mut prices = Prices::default();
            prices.set(price("p", "m", 1_000_000), false);
            let newest = rows.iter().map(|row| row.1).max().unwrap_or_default();
            // Read back in the middle, it goes on as if it had never stopped.
            let cut = cut.min(rows.len());
            let mut halves = Tallies::default();
            for row in &rows[..cut] {
                add(&mut halves, row);
            }
            let mut halves: Tallies = serde_json::from_str(&serde_json::to_string(&halves).expect("JSON")).expect("a snapshot");
            for row in &rows[cut..] {
                add(&mut halves, row);
            }
            prop_assert_eq!(&halves, &forwards);
            for period in ["day", "week", "month", "total"] {
                for agent in ["0", "1", "2"] {
                    let budget = budget("agent", Some(agent), period);
                    let of = |tallies: &Tallies| (0..3).map(|project| tallies.spent(project, &budget, &prices, newest)).collect::<Vec<_>>();
                    prop_assert_eq!(of(&forwards), of(&backwards));
                }
            }
        }
    }
}
