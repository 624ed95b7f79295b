//! Which classes are taken for which.

use serde::{Deserialize, Serialize};

/// The most classes that are counted: nobody reads a table of 20000 x 20000.
const MAX_CLASSES: usize = 2000;

/// The confusion matrix. A file holds only the counts that are not 0.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(into = "Cells", try_from = "Cells")]
pub struct Confusion {
    /// A row for each class: how often its images were taken for each class. Empty for more than 2000 classes.
    pub rows: Vec<Vec<u32>>,
}

/// As a file holds it.
#[derive(Serialize, Deserialize)]
struct Cells {
    classes: usize,
    /// Class, predicted class, and how often.
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
        if classes > MAX_CLASSES {
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
    /// Counts a prediction of a network with so many classes.
    pub(super) fn count(&mut self, class: usize, answer: usize, classes: usize) {
        if classes > MAX_CLASSES {
            return;
        }
        if self.rows.is_empty() {
            self.rows = vec![vec![0; classes]; classes];
        }
        if let Some(cell) = self.rows.get_mut(class).and_then(|row| row.get_mut(answer)) {
            *cell += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Confusion;

    #[test]
    fn predictions_are_counted_by_class() {
        let mut confusion = Confusion::default();
        for (class, answer) in [(0, 0), (0, 0), (0, 1), (1, 1)] {
            confusion.count(class, answer, 2);
        }
        assert_eq!(confusion.rows, [[2, 1], [0, 1]]);
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
