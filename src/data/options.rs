//! Which split of a dataset is opened, and how.

/// A split of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// For validation during training. If there is no validation split, the test split is used.
    Valid,
    /// For the final evaluation. If there is no test split, the validation split is used.
    Test,
}

impl Split {
    /// The names that the folder or archive of a split may have, in order of preference.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Split::Train => &["train"],
            Split::Valid => &["val", "valid", "validation", "test"],
            Split::Test => &["test", "val", "valid", "validation"],
        }
    }
}

/// Options for opening a dataset.
#[derive(Clone, Copy, Debug)]
pub struct DatasetOptions<'a> {
    /// The network's class names, which the names of class folders are matched with; may be empty.
    pub class_names: &'a [String],
    /// Whether the name of every class folder must be in `class_names`. Set when these are the classes of the training split and another split is
    /// opened.
    pub strict: bool,
    /// The number of classes of the network, which labels are checked against.
    pub classes: Option<usize>,
    /// Memory for caching decoded images, in bytes. Used only if all images are likely to fit.
    pub cache_bytes: usize,
}

impl Default for DatasetOptions<'_> {
    fn default() -> Self {
        DatasetOptions { class_names: &[], strict: false, classes: None, cache_bytes: 1 << 30 }
    }
}
