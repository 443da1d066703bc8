//! Which items of two arrays belong together.
//!
//! Equal items at both ends are matched at once; what is left between is aligned by a longest common subsequence over the items'
//! canonical bytes, as far as the work allows, else item by item. Between two matches, as many items as both sides have are
//! taken for changed, the rest for removed or added.

use std::collections::HashMap;

use crate::json::{Value, write_canonical};

/// One table may have so many cells (two bytes each).
const CELLS_MAX: usize = 1 << 20;
/// Cells that cost as much as one byte made canonical.
const CELLS_PER_UNIT: usize = 32;

/// What to do next, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many items are equal on both sides.
    Same(usize),
    /// An item on each side, to be compared further in.
    Changed,
    /// An item of the first array that is not in the second.
    Removed,
    /// An item of the second array that is not in the first.
    Added,
}

/// Aligns two arrays and takes what it cost from `work`.
pub(super) fn align(before: &[Value<'_>], after: &[Value<'_>], work: &mut usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let Some((before, after)) = numbered(before, after, work) else {
        gap(before.len(), after.len(), &mut steps);
        return steps;
    };
    let head = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[head..], &after[head..]);
    let tail = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[..before.len() - tail], &after[..after.len() - tail]);
    if head > 0 {
        steps.push(Step::Same(head));
    }
    middle(before, after, work, &mut steps);
    if tail > 0 {
        steps.push(Step::Same(tail));
    }
    steps
}

/// A number for each item, equal for equal items. `None` where there is not enough work left to make the items canonical.
fn numbered(before: &[Value<'_>], after: &[Value<'_>], work: &mut usize) -> Option<(Vec<u32>, Vec<u32>)> {
    let mut known: HashMap<Vec<u8>, u32> = HashMap::with_capacity(before.len());
    let mut number = |items: &[Value<'_>]| -> Option<Vec<u32>> {
        let mut numbers = Vec::with_capacity(items.len());
        for item in items {
            let mut bytes = Vec::new();
            write_canonical(item, &mut bytes);
            let rest = work.checked_sub(bytes.len());
            *work = rest.unwrap_or(0);
            rest?;
            let next = known.len() as u32;
            numbers.push(*known.entry(bytes).or_insert(next));
        }
        Some(numbers)
    };
    Some((number(before)?, number(after)?))
}

/// Aligns what is left between equal ends.
fn middle(before: &[u32], after: &[u32], work: &mut usize, steps: &mut Vec<Step>) {
    let cells = (before.len() + 1).saturating_mul(after.len() + 1);
    let affordable = before.len().min(after.len()) < usize::from(u16::MAX) && cells <= CELLS_MAX && cells / CELLS_PER_UNIT <= *work;
    if before.is_empty() || after.is_empty() || !affordable {
        gap(before.len(), after.len(), steps);
        return;
    }
    *work -= cells / CELLS_PER_UNIT;
    // lengths[i][j]: the longest common subsequence of before[i..] and after[j..].
    let width = after.len() + 1;
    let mut lengths = vec![0_u16; cells];
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            lengths[i * width + j] = if before[i] == after[j] {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut removed, mut added) = (0, 0, 0, 0);
    while i < before.len() && j < after.len() {
        if before[i] == after[j] {
            gap(removed, added, steps);
            (removed, added) = (0, 0);
            steps.push(Step::Same(1));
            i += 1;
            j += 1;
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            removed += 1;
            i += 1;
        } else {
            added += 1;
            j += 1;
        }
    }
    gap(removed + before.len() - i, added + after.len() - j, steps);
}

/// Items between two matches.
fn gap(removed: usize, added: usize, steps: &mut Vec<Step>) {
    let both = removed.min(added);
    steps.extend(std::iter::repeat_n(Step::Changed, both));
    steps.extend(std::iter::repeat_n(Step::Removed, removed - both));
    steps.extend(std::iter::repeat_n(Step::Added, added - both));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn steps(before: &str, after: &str, mut work: usize) -> Vec<Step> {
        let items = |text: &'static str| parse(text.as_bytes()).expect("valid").as_array().expect("array").to_vec();
        align(&items(before.to_owned().leak()), &items(after.to_owned().leak()), &mut work)
    }

    #[test]
    fn alignments() {
        use Step::{Added, Changed, Removed, Same};
        let cases: &[(&str, &str, usize, &[Step])] = &[
            ("[]", "[]", 1_000, &[]),
            ("[1,2]", "[1,2]", 1_000, &[Same(2)]),
            ("[1,2]", "[0,1,2]", 1_000, &[Added, Same(2)]),
            ("[1,2,3]", "[1,3]", 1_000, &[Same(1), Removed, Same(1)]),
            ("[1,9,2,8]", "[1,2,7]", 1_000, &[Same(1), Removed, Same(1), Changed]),
            (r#"[{"a":1,"b":2}]"#, r#"[0,{"b":2,"a":1}]"#, 1_000, &[Added, Same(1)]),
            ("[1,2]", "[0,1,2]", 0, &[Changed, Changed, Added]),
            ("[1,2]", "[0,1,2]", 4, &[Changed, Changed, Added]),
        ];
        for (before, after, work, expected) in cases {
            assert_eq!(steps(before, after, *work), *expected, "{before} {after}");
        }
    }
}
