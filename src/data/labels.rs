//! Class labels, checked against the network's classes.

use std::fmt::Display;

use super::DataError;

/// The valid labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelRange(usize);

impl LabelRange {
    /// The labels of a network with this many outputs; without a network, any that are not negative.
    pub fn of(classes: Option<usize>) -> LabelRange {
        LabelRange(classes.unwrap_or(u32::MAX as usize))
    }

    /// Checks the labels of a file.
    pub fn check(self, path: impl Display, labels: impl IntoIterator<Item = i64>) -> Result<Vec<u32>, DataError> {
        let checked = labels.into_iter().enumerate().map(|(index, label)| match u32::try_from(label) {
            Ok(class) if (class as usize) < self.0 => Ok(class),
            _ if label < 0 => Err(DataError::Negative { path: path.to_string(), index, label }),
            _ => Err(DataError::Label { path: path.to_string(), index, label, classes: self.0 }),
        });
        checked.collect()
    }
}

/// The network's class index for each class of the dataset, matched by name, if the network has every class of the dataset.
/// `None` if the dataset's indices are used unchanged.
pub(super) fn by_name(names: &[String], class_names: &[String]) -> Option<Vec<u32>> {
    let class = |name: &String| class_names.iter().position(|known| known == name).and_then(|i| u32::try_from(i).ok());
    if names.is_empty() { None } else { names.iter().map(class).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_matched_by_name_if_all_are_known() {
        let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<String>>();
        assert_eq!(by_name(&list(&["b", "a"]), &list(&["a", "b", "c"])), Some(vec![1, 0]));
        assert_eq!(by_name(&list(&["b", "d"]), &list(&["a", "b", "c"])), None);
        assert_eq!(by_name(&[], &list(&["a"])), None);
    }
}
