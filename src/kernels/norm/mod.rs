//! Norms of each sample: the mean and biased variance are those of some of its own values, `xhat = (x - mean) / sqrt(variance +
//! eps)` and `y = weight * xhat + bias`.
//!
//! [`strips`] normalizes the channels of each place, or all values of a sample; [`groups`] the values of each group of channels.
//! [`l2`] divides the channels of each place by their Euclidean norm, and [`fold`] takes their mean or maximum.
//!
//! Norms read the values of a mean twice, first for the mean and then for the squared differences from it, since the difference of
//! two large sums would lose the digits of a small variance.

pub mod fold;
pub mod groups;
pub mod l2;
mod loops;
pub mod strips;
#[cfg(test)]
mod tests;
mod tiles;

/// The learned values of a norm, and its epsilon. Values of layer norm over `all` have a weight each, otherwise channels do.
#[derive(Clone, Copy, Debug)]
pub struct NormParams<'a> {
    /// Factors; `None` for 1.
    pub weight: Option<&'a [f32]>,
    /// Summands; `None` for 0.
    pub bias: Option<&'a [f32]>,
    /// Added to the variance.
    pub eps: f64,
}
