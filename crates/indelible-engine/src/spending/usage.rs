//! What one entry says was used: by which agent, of which model, how many tokens, at what cost.

use std::sync::LazyLock;

use indelible_core::json::{self, Value};
use indelible_core::time::Timestamp;
use memchr::memmem::Finder;

/// How the member lies in the canonical bytes of an entry. In a string its quotes would stand behind backslashes.
static MEMBER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\":{"));

/// What was used in one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    /// `occurred_at`
    pub(crate) at: Timestamp,
    /// `actor.id` of an agent.
    pub(crate) agent: Option<String>,
    /// `model.id`
    pub(crate) model: Option<String>,
    /// `model.provider`
    pub(crate) provider: String,
    /// `usage.cost_micros` and `usage.currency`, where both are said.
    pub(crate) cost: Option<(u64, String)>,
    pub(crate) tokens: Tokens,
}

/// Tokens of one model. They stand beside one another: those read from a cache are not input again, those of reasoning not output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cache_read: u64,
    pub(crate) reasoning: u64,
}

impl Tokens {
    pub(crate) const fn add(&mut self, more: Self) {
        self.input = self.input.saturating_add(more.input);
        self.output = self.output.saturating_add(more.output);
        self.cache_read = self.cache_read.saturating_add(more.cache_read);
        self.reasoning = self.reasoning.saturating_add(more.reasoning);
    }
}

impl Usage {
    /// Reads the bytes of an entry; `None` where nothing was used.
    pub(crate) fn read(entry: &[u8]) -> Option<Self> {
        MEMBER.find(entry)?;
        let entry = json::parse(entry).ok()?;
        let usage = entry.get("usage")?;
        let number = |name: &str| usage.get(name).and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok());
        let text = |object: &str, name: &str| entry.get(object).and_then(|object| object.get(name)).and_then(Value::as_str);
        let currency = usage.get("currency").and_then(Value::as_str);
        let count = |name: &str| number(name).unwrap_or_default();
        Some(Self {
            at: entry.get("occurred_at").and_then(Value::as_str).and_then(Timestamp::parse)?,
            agent: text("actor", "id").filter(|_| text("actor", "type") == Some("agent")).map(str::to_owned),
            model: text("model", "id").map(str::to_owned),
            provider: text("model", "provider").unwrap_or_default().to_owned(),
            cost: number("cost_micros").zip(currency.map(str::to_owned)),
            tokens: Tokens {
                input: count("input_tokens"),
                output: count("output_tokens"),
                cache_read: count("cache_read_tokens"),
                reasoning: count("reasoning_tokens"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-29T02:33:44.123456Z";

    #[test]
    fn what_was_used_is_read() {
        let text = format!(
            r#"{{"actor":{{"id":"a \"b\"","type":"agent"}},"model":{{"id":"m","provider":"p"}},"occurred_at":"{AT}","usage":{{"cost_micros":7,"currency":"USD","input_tokens":1,"output_tokens":2,"reasoning_tokens":3}}}}"#
        );
        let usage = Usage::read(text.as_bytes()).expect("used");
        assert_eq!((usage.agent.as_deref(), usage.model.as_deref(), usage.provider.as_str()), (Some("a \"b\""), Some("m"), "p"));
        assert_eq!((usage.cost, usage.at.to_string().as_str()), (Some((7, "USD".to_owned())), AT));
        assert_eq!(usage.tokens, Tokens { input: 1, output: 2, cache_read: 0, reasoning: 3 });
    }

    #[test]
    fn a_cost_without_a_currency_is_none_and_a_word_in_a_string_uses_nothing() {
        let text = format!(r#"{{"actor":{{"id":"a","type":"human"}},"occurred_at":"{AT}","usage":{{"cost_micros":7}}}}"#);
        let usage = Usage::read(text.as_bytes()).expect("used");
        assert_eq!((usage.cost, usage.agent), (None, None));
        let text = format!(r#"{{"occurred_at":"{AT}","reason":"\"usage\":{{\"cost_micros\":1}}"}}"#);
        assert_eq!(Usage::read(text.as_bytes()), None);
    }
}
