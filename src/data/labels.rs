//! Labels, held against the network's classes.

use std::fmt::Display;

use super::DataError;

/// The labels that may occur.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range(usize);

impl Range {
    /// Those of a network's outputs; any that are not negative where there is no network.
    pub fn of(classes: Option<usize>) -> Range {
        Range(classes.unwrap_or(u32::MAX as usize))
    }

    /// The labels of a file, in order.
    pub fn hold(self, path: impl Display, labels: impl IntoIterator<Item = i64>) -> Result<Vec<u32>, DataError> {
        let held = labels.into_iter().enumerate().map(|(index, label)| match u32::try_from(label) {
            Ok(class) if (class as usize) < self.0 => Ok(class),
            _ if label < 0 => Err(DataError::Negative { path: path.to_string(), index, label }),
            _ => Err(DataError::Label { path: path.to_string(), index, label, classes: self.0 }),
        });
        held.collect()
    }
}

/// The network's class of each of the dataset's, where the dataset names them and the network has labels: by name if every name is a
/// label. `None` where the numbers are to be taken as they are.
pub(super) fn by_name(names: &[String], labels: &[String]) -> Option<Vec<u32>> {
    let class = |name: &String| labels.iter().position(|label| label == name).and_then(|i| u32::try_from(i).ok());
    if names.is_empty() { None } else { names.iter().map(class).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_where_all_are_known() {
        let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<String>>();
        assert_eq!(by_name(&list(&["b", "a"]), &list(&["a", "b", "c"])), Some(vec![1, 0]));
        assert_eq!(by_name(&list(&["b", "d"]), &list(&["a", "b", "c"])), None);
        assert_eq!(by_name(&[], &list(&["a"])), None);
    }
}
