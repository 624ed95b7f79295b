//! What a weight file has for a network.

use std::collections::BTreeMap;

use super::expected::Expected;
use super::optimizer_state::optimized;
use super::tensors::Tensors;
use super::wrapper::{Unwrapped, unwrapped};
use crate::base::tensor::Tensor;

/// The contents of a file, without counters, optimizer state and the prefix of a wrapper.
pub(super) fn contents<'a>(expected: &BTreeMap<&str, Expected<'_>>, tensors: &'a Tensors) -> Unwrapped<'a> {
    let is_counter = |name: &str| matches!(name.rsplit('.').next(), Some("num_batches_tracked" | "n_averaged"));
    // a training checkpoint also contains optimizer state: a tensor of the same shape for each trainable parameter
    let is_state = |name: &str, tensor: &Tensor| {
        !expected.contains_key(name)
            && optimized(name).and_then(|of| tensors.get(of)).is_some_and(|of| of.shape() == tensor.shape())
    };
    let given = tensors.iter().filter(|(name, tensor)| !is_counter(name) && !is_state(name, tensor)).collect();
    unwrapped(expected, given, tensors.unread().collect())
}
