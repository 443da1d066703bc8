//! Figures, collected as they are measured and printed as one table of ratios.

use std::path::Path;

use anyhow::Context;

/// One measured figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// The median.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// The figure it is compared with, by name.
    pub(crate) against: Option<String>,
}

/// All figures of one run.
#[derive(Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds a figure and says it at once, so that a long run shows what it has.
    pub(crate) fn add(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.push(Figure { what: what.into(), value, unit, against: None });
    }

    /// Adds a figure to be shown as a ratio to another.
    pub(crate) fn compare(&mut self, what: impl Into<String>, value: f64, unit: &'static str, against: &str) {
        self.push(Figure { what: what.into(), value, unit, against: Some(against.to_owned()) });
    }

    fn push(&mut self, figure: Figure) {
        eprintln!("  {:<64} {:>14} {}", figure.what, number(figure.value), figure.unit);
        self.figures.push(figure);
    }

    fn ratio(&self, figure: &Figure) -> Option<f64> {
        let base = self.figures.iter().find(|other| Some(&other.what) == figure.against.as_ref())?;
        (base.value > 0.0).then(|| figure.value / base.value)
    }

    /// The table, as Markdown, so that it can be pasted into `docs/benchmarks.md`.
    pub(crate) fn print(&self) {
        println!("| what | median | unit | ratio | against |");
        println!("| --- | ---: | --- | ---: | --- |");
        for figure in &self.figures {
            let ratio = self.ratio(figure).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            let against = figure.against.as_deref().unwrap_or_default();
            println!("| {} | {} | {} | {ratio} | {against} |", figure.what, number(figure.value), figure.unit);
        }
    }

    /// Writes the figures as JSON.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let rows: Vec<_> = self
            .figures
            .iter()
            .map(|f| serde_json::json!({"what": f.what, "median": f.value, "unit": f.unit, "against": f.against, "ratio": self.ratio(f)}))
            .collect();
        std::fs::write(file, serde_json::to_vec_pretty(&rows)?).with_context(|| format!("{} cannot be written", file.display()))
    }
}

/// Three digits that mean something, thousands grouped.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The median; 0 of nothing.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50.0)
}

/// A percentile by nearest rank; 0 of nothing.
pub(crate) fn percentile(values: &mut [f64], percent: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut values: Vec<f64> = (1..=100).map(f64::from).rev().collect();
        let found = [percentile(&mut values, 50.0), percentile(&mut values, 99.0), median(&mut [])];
        assert_eq!(found.map(|value| value.to_string()), ["50", "99", "0"]);
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(1.234), "1.23");
    }
}
