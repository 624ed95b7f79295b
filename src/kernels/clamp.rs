//! Limits as the last operation of a kernel, on the values that it still has in registers.

use super::simd::Simd;

/// The last operation of a kernel. Other functions are applied to what it has stored, while that is in the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Clamp {
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, limits[0]), limits[1])`.
    Limits([f32; 2]),
}

impl Clamp {
    /// Applied to a vector; NaN stays NaN.
    ///
    /// # Safety
    /// The processor supports `S`.
    #[inline(always)]
    pub unsafe fn apply<S: Simd>(self, x: S::V) -> S::V {
        // SAFETY: guaranteed by the caller
        unsafe {
            match self {
                Clamp::None => x,
                Clamp::Relu => S::relu(x),
                Clamp::Limits([low, high]) => S::min(S::splat(high), S::max(S::splat(low), x)),
            }
        }
    }

    /// Applied to one value; NaN stays NaN, so that a broken model is noticed.
    pub fn of(self, x: f32) -> f32 {
        match self {
            Clamp::None => x,
            Clamp::Relu => relu(x),
            Clamp::Limits(limits) => limited(x, limits),
        }
    }

    /// Applied to each value.
    pub fn apply_to(self, values: &mut [f32]) {
        match self {
            Clamp::None => {}
            Clamp::Relu => values.iter_mut().for_each(|v| *v = relu(*v)),
            Clamp::Limits(limits) => values.iter_mut().for_each(|v| *v = limited(*v, limits)),
        }
    }
}

fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

fn limited(x: f32, [low, high]: [f32; 2]) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}
