//! Activations of the language's library.

use crate::elaborate::prelude;
use crate::ir::Elementwise;

/// The function of this name with these numbers.
pub(in super::super) fn library(name: &str, numbers: &[(&str, f32)]) -> Result<Elementwise, String> {
    prelude::call(name, numbers).ok_or_else(|| format!("the language has no function `{name}` of these numbers"))
}

/// A ReLU that multiplies negative values by a slope.
pub(in super::super) fn leaky_relu(slope: f32) -> Result<Elementwise, String> {
    if slope == 0.0 { Ok(Elementwise::relu()) } else { library("leaky_relu", &[("negative_slope", slope)]) }
}
