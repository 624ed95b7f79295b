//! The 1 000 classes of the ImageNet classification task (ILSVRC 2012), which most published weights predict.
//!
//! `imagenet_classes.txt` has one line per class: its WordNet synset id, which is also the dataset's folder name, and a label.
//! Classes are indexed in the order of their ids, as in `LOC_synset_mapping.txt`. The labels are torchvision's, made unique.

use std::sync::LazyLock;

const LINES: &str = include_str!("imagenet_classes.txt");

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// `n01440764`: the dataset's folder name.
    pub synset: &'static str,
    /// `tench`.
    pub name: &'static str,
}

/// The classes by their index.
pub fn classes() -> &'static [Class] {
    static CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| {
        let class = |line: &'static str| line.split_once(' ').map(|(synset, name)| Class { synset, name });
        LINES.lines().filter_map(class).collect()
    });
    &CLASSES
}

/// The names by their index: `labels imagenet`.
pub fn names() -> Vec<String> {
    classes().iter().map(|class| class.name.to_owned()).collect()
}

/// The class index of a synset; `None` if it is not one of the 1 000.
pub fn index(synset: &str) -> Option<usize> {
    classes().binary_search_by(|class| class.synset.cmp(synset)).ok()
}

/// Whether a name has the form of a noun synset id, as ImageNet's folders do: `n` and eight digits.
pub fn is_synset(name: &str) -> bool {
    name.strip_prefix('n').is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_a_thousand_in_order_and_no_two_of_one_name() {
        assert_eq!(classes().len(), 1000);
        assert!(classes().windows(2).all(|pair| pair[0].synset < pair[1].synset));
        assert!(classes().iter().all(|class| is_synset(class.synset)));
        assert_eq!(names().into_iter().collect::<HashSet<_>>().len(), 1000);
    }

    /// Indices that are widely known.
    #[test]
    fn classes_have_the_indices_of_the_published_weights() {
        let name = |index: usize| classes()[index].name;
        assert_eq!([0, 207, 281, 999].map(name), ["tench", "golden retriever", "tabby", "toilet tissue"]);
        assert_eq!(index("n02099601"), Some(207));
        assert_eq!((index("n00000001"), index("tench")), (None, None));
        assert!(!is_synset("n0144076") && !is_synset("n0144076x") && !is_synset("m01440764"));
    }
}
