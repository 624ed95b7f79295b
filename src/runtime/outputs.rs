//! The named outputs of a run.

use ndarray::ArrayD;

/// The outputs of a run, in declaration order. The first axis of each is the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    list: Vec<(String, ArrayD<f32>)>,
}

impl Outputs {
    pub(crate) fn new(list: Vec<(String, ArrayD<f32>)>) -> Self {
        Outputs { list }
    }

    /// The output with that name.
    pub fn get(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.list.iter().find(|(n, _)| n == name).map(|(_, array)| array)
    }

    /// The main output, which is the first. Every network has one.
    pub fn main(&self) -> &ArrayD<f32> {
        &self.list[0].1
    }

    /// All outputs with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> {
        self.list.iter().map(|(name, array)| (name.as_str(), array))
    }
}

impl IntoIterator for Outputs {
    type Item = (String, ArrayD<f32>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
