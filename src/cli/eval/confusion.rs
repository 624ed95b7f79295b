//! The confusion matrix as text.

use std::fmt::Write;

use crate::eval::Confusion;

/// The most classes of which the whole matrix is shown; of more, the most frequent mistakes are listed.
const MAX_CLASSES: usize = 16;
/// How many mistakes are listed.
const LISTED: usize = 20;

/// The matrix, or a list of the most frequent mistakes.
pub(super) fn text(confusion: &Confusion, name: impl Fn(usize) -> String) -> String {
    let mut out = String::new();
    if confusion.rows.is_empty() {
        return out;
    }
    let width = (0..confusion.rows.len()).map(|c| name(c).chars().count()).max().unwrap_or(0).min(24);
    let short = |class: usize| name(class).chars().take(24).collect::<String>();
    if confusion.rows.len() > MAX_CLASSES {
        let cells = confusion.rows.iter().enumerate().flat_map(|(class, row)| {
            row.iter().enumerate().filter(move |(answer, n)| *answer != class && **n > 0).map(move |(a, n)| (*n, class, a))
        });
        let mut mistakes: Vec<(u32, usize, usize)> = cells.collect();
        mistakes.sort_by_key(|&(n, class, answer)| (std::cmp::Reverse(n), class, answer));
        for (n, class, answer) in mistakes.into_iter().take(LISTED) {
            let _ = writeln!(out, "{n:6} of {:width$} taken for {}", short(class), short(answer));
        }
        return out;
    }
    let digits = confusion.rows.iter().flatten().max().map_or(1, |n| n.to_string().len()).max(2) + 1;
    let _ = write!(out, "\n{:width$}  right ", "");
    for class in 0..confusion.rows.len() {
        let _ = write!(out, "{class:>digits$}");
    }
    out.push('\n');
    for (class, row) in confusion.rows.iter().enumerate() {
        let all: u32 = row.iter().sum();
        let right = row.get(class).copied().unwrap_or(0);
        let part = if all == 0 { "     –".to_owned() } else { format!("{:5.1}%", 100.0 * f64::from(right) / f64::from(all)) };
        let _ = write!(out, "{:width$} {part} ", short(class));
        for n in row {
            let _ = write!(out, "{n:>digits$}");
        }
        let _ = writeln!(out, "  = {class}");
    }
    out
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_classes_make_a_table_and_many_a_list() {
        let few = Confusion { rows: vec![vec![2, 1], vec![0, 1]] };
        let shown = text(&few, |c| ["cat", "dog"][c].to_owned());
        assert!(shown.contains("cat  66.7%   2  1  = 0") && shown.contains("dog 100.0%   0  1  = 1"), "{shown}");

        let mut many = Confusion { rows: vec![vec![0; 100]; 100] };
        for (class, answer, times) in [(3, 9, 5), (4, 4, 50), (7, 1, 2)] {
            many.rows[class][answer] = times;
        }
        let shown = text(&many, |c| format!("class{c}"));
        assert_eq!(shown.lines().count(), 2);
        assert!(shown.starts_with("     5 of class3  taken for class9"), "{shown}");
    }
}
