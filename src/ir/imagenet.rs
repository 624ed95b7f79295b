//! The 1 000 classes of ImageNet's classification task (ILSVRC 2012), which most published weights answer with.
//!
//! `imagenet_classes.txt` holds a line a class: its synset's number in WordNet, which the data's folders are called, and a name.
//! Classes count in the order of these numbers, as in `LOC_synset_mapping.txt`; the names are torchvision's, each different.

use std::sync::LazyLock;

const LINES: &str = include_str!("imagenet_classes.txt");

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// `n01440764`: what folders of the data are called.
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

/// The class of a synset; `None` for one that is not among the 1 000.
pub fn index(synset: &str) -> Option<usize> {
    classes().binary_search_by(|class| class.synset.cmp(synset)).ok()
}

/// Whether a name is a noun synset's number, as ImageNet's folders are called: `n` and eight digits.
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
