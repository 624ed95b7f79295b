//! Which classes are taken for which.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// The most classes that a whole table is shown for; of more, the mistakes made most often are listed.
const TABLE: usize = 16;
/// Mistakes listed.
const LISTED: usize = 20;
/// The most classes that are counted: a table of 20000 x 20000 would not be looked at.
const COUNTED: usize = 2000;

/// Counts of answers. In a file only those that are not 0 stand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(into = "Cells", try_from = "Cells")]
pub(super) struct Confusion {
    /// A row for each class, with the answers given to its images.
    pub rows: Vec<Vec<u32>>,
}

/// What a file holds of it.
#[derive(Serialize, Deserialize)]
struct Cells {
    classes: usize,
    /// Class, answer, and how often.
    cells: Vec<(usize, usize, u32)>,
}

impl From<Confusion> for Cells {
    fn from(confusion: Confusion) -> Cells {
        let row = |(class, row): (usize, &Vec<u32>)| {
            let cells = row.iter().enumerate().filter(|(_, n)| **n > 0);
            cells.map(|(answer, &n)| (class, answer, n)).collect::<Vec<_>>()
        };
        Cells { classes: confusion.rows.len(), cells: confusion.rows.iter().enumerate().flat_map(row).collect() }
    }
}

impl TryFrom<Cells> for Confusion {
    type Error = String;

    fn try_from(Cells { classes, cells }: Cells) -> Result<Confusion, String> {
        if classes > COUNTED {
            return Err(format!("a table of {classes} classes"));
        }
        let mut rows = vec![vec![0; classes]; classes];
        for (class, answer, n) in cells {
            let cell = rows.get_mut(class).and_then(|row| row.get_mut(answer));
            *cell.ok_or_else(|| format!("class {class} taken for {answer} in a table of {classes}"))? = n;
        }
        Ok(Confusion { rows })
    }
}

impl Confusion {
    /// Counts an answer of a network with so many classes.
    pub fn count(&mut self, class: usize, answer: usize, classes: usize) {
        if classes > COUNTED {
            return;
        }
        if self.rows.is_empty() {
            self.rows = vec![vec![0; classes]; classes];
        }
        if let Some(cell) = self.rows.get_mut(class).and_then(|row| row.get_mut(answer)) {
            *cell += 1;
        }
    }

    /// As a table, or as a list of the mistakes made most often.
    pub fn text(&self, name: impl Fn(usize) -> String) -> String {
        let mut out = String::new();
        if self.rows.is_empty() {
            return out;
        }
        let width = (0..self.rows.len()).map(|c| name(c).chars().count()).max().unwrap_or(0).min(24);
        let short = |class: usize| name(class).chars().take(24).collect::<String>();
        if self.rows.len() > TABLE {
            let cells = self.rows.iter().enumerate().flat_map(|(class, row)| {
                row.iter().enumerate().filter(move |(answer, n)| *answer != class && **n > 0).map(move |(a, n)| (*n, class, a))
            });
            let mut mistakes: Vec<(u32, usize, usize)> = cells.collect();
            mistakes.sort_by_key(|&(n, class, answer)| (std::cmp::Reverse(n), class, answer));
            for (n, class, answer) in mistakes.into_iter().take(LISTED) {
                let _ = writeln!(out, "{n:6} of {:width$} taken for {}", short(class), short(answer));
            }
            return out;
        }
        let digits = self.rows.iter().flatten().max().map_or(1, |n| n.to_string().len()).max(2) + 1;
        let _ = write!(out, "\n{:width$}  right ", "");
        for class in 0..self.rows.len() {
            let _ = write!(out, "{class:>digits$}");
        }
        out.push('\n');
        for (class, row) in self.rows.iter().enumerate() {
            let all: u32 = row.iter().sum();
            let right = row.get(class).copied().unwrap_or(0);
            let part =
                if all == 0 { "     –".to_owned() } else { format!("{:5.1}%", 100.0 * f64::from(right) / f64::from(all)) };
            let _ = write!(out, "{:width$} {part} ", short(class));
            for n in row {
                let _ = write!(out, "{n:>digits$}");
            }
            let _ = writeln!(out, "  = {class}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Confusion;

    #[test]
    fn few_classes_make_a_table_and_many_a_list() {
        let mut few = Confusion::default();
        for (class, answer) in [(0, 0), (0, 0), (0, 1), (1, 1)] {
            few.count(class, answer, 2);
        }
        assert_eq!(few.rows, [[2, 1], [0, 1]]);
        let text = few.text(|c| ["cat", "dog"][c].to_owned());
        assert!(text.contains("cat  66.7%   2  1  = 0") && text.contains("dog 100.0%   0  1  = 1"), "{text}");

        let mut many = Confusion::default();
        for (class, answer, times) in [(3, 9, 5), (4, 4, 50), (7, 1, 2)] {
            (0..times).for_each(|_| many.count(class, answer, 100));
        }
        let text = many.text(|c| format!("class{c}"));
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("     5 of class3  taken for class9"), "{text}");
    }

    #[test]
    fn it_comes_back_from_a_file() {
        let mut confusion = Confusion::default();
        [(0, 0), (2, 1), (2, 1)].into_iter().for_each(|(class, answer)| confusion.count(class, answer, 3));
        let text = serde_json::to_string(&confusion).unwrap();
        assert_eq!(text, r#"{"classes":3,"cells":[[0,0,1],[2,1,2]]}"#);
        assert_eq!(serde_json::from_str::<Confusion>(&text).unwrap().rows, confusion.rows);
        for wrong in [r#"{"classes":3,"cells":[[0,3,1]]}"#, r#"{"classes":100000000,"cells":[]}"#] {
            assert!(serde_json::from_str::<Confusion>(wrong).is_err());
        }
    }
}
