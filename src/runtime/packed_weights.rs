//! Weights packed in advance, stored in an artifact and mapped from its file.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bound_weight::BoundWeight;
use crate::base::tensor::Tensor;
use crate::kernels::Isa;
use crate::plan::WeightLayout;

/// Weights in the layouts that a plan needs, by name and layout. A weight that is not included is made from the parameters.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    isa: Isa,
    pub(super) list: BTreeMap<(String, WeightLayout), Arc<BoundWeight>>,
}

impl PackedWeights {
    /// No weights yet, for the kernels of an instruction set.
    pub fn new(isa: Isa) -> PackedWeights {
        PackedWeights { isa, list: BTreeMap::new() }
    }

    /// The instruction set of the plan that they were made for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Adds a weight whose values are in a file. Returns `false` if they cannot be used in place because they are not f32 or not
    /// aligned.
    pub fn insert(&mut self, name: String, layout: WeightLayout, values: Tensor) -> bool {
        let usable = values.as_f32().is_some();
        if usable {
            self.list.insert((name, layout), Arc::new(BoundWeight::Mapped(values)));
        }
        usable
    }

    /// Name, layout and values of each weight.
    pub fn iter(&self) -> impl Iterator<Item = (&str, WeightLayout, &[f32])> {
        self.list.iter().map(|((name, layout), weight)| (name.as_str(), *layout, weight.values()))
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(_, _, values)| size_of_val(values)).sum()
    }
}
