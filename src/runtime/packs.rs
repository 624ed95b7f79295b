//! Weights that were made ahead of a run, for an artifact, and come back mapped.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::weights::BoundWeight;
use crate::base::tensor::Tensor;
use crate::kernels::Isa;
use crate::plan::WeightLayout;

/// Weights in the forms that a plan asks for, by name and form. Where a plan asks for one that is not among them, it is made from
/// the parameters.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    isa: Isa,
    pub(super) list: BTreeMap<(String, WeightLayout), Arc<BoundWeight>>,
}

impl PackedWeights {
    /// None yet, for the kernels of an instruction set.
    pub fn new(isa: Isa) -> PackedWeights {
        PackedWeights { isa, list: BTreeMap::new() }
    }

    /// The instruction set of the plan that asked for them.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Adds a weight whose values lie in a file. `false` where they cannot be used from there: they are not f32, or not aligned.
    pub fn insert(&mut self, name: String, form: WeightLayout, values: Tensor) -> bool {
        let usable = values.as_f32().is_some();
        if usable {
            self.list.insert((name, form), Arc::new(BoundWeight::Mapped(values)));
        }
        usable
    }

    /// Name, form and values of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, WeightLayout, &[f32])> {
        self.list.iter().map(|((name, form), weight)| (name.as_str(), *form, weight.values()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(_, _, values)| size_of_val(values)).sum()
    }
}
