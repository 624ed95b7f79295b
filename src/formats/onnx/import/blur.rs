//! Blurs between layers (Zhang 2019, "Making Convolutional Networks Shift-Invariant Again"), with the names of the file: each channel
//! is filtered by binomial coefficients, which no state dict has. A row of 2x2 average pools is the same, and has no parameters.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::layers::Filters;
use super::names;
use super::windows::Window;
use crate::ir::{Op, Pad, Pool, PoolKind};

/// The largest blur, in rows and columns.
const LARGEST: usize = 7;

/// How far a filter may be from the coefficients.
const TOLERANCE: f32 = 1e-6;

impl Importer<'_> {
    /// The number of pools that a convolution is, if it blurs each channel and its weight is no parameter of the file.
    pub(super) fn blur_steps(&self, filters: &Filters, window: &Window, channels: usize) -> Option<usize> {
        let is_parameter = self.originals.contains_key(&filters.name) && names::of_parameter(&filters.name).is_some();
        let &[count, 1, height, width] = filters.weight.shape() else { return None };
        let is_depthwise = filters.groups == channels && count == channels && filters.bias.is_none();
        if !self.keep_names || is_parameter || !is_depthwise || height != width || !(2..=LARGEST).contains(&height) {
            return None;
        }
        let row = binomial(height);
        let fits = |(at, value): (usize, &f32)| {
            let (y, x) = (at / width % height, at % width);
            (value - row[y] * row[x]).abs() <= TOLERANCE
        };
        let is_blur = window.dilation == [1, 1] && filters.weight.to_f32().iter().enumerate().all(fits);
        is_blur.then_some(height - 1)
    }

    /// That many 2x2 average pools in a row, the last of which has the stride.
    pub(super) fn blurred(&mut self, call: &Call<'_>, x: &Flow, window: &Window, steps: usize) -> ImportResult<Flow> {
        let mut y = x.clone();
        if window.pad != [[0; 2]; 2] {
            y = self.add(call, Op::Pad(Pad::zeros(window.pad)), &[&y])?;
        }
        for step in 1..=steps {
            let stride = if step == steps { window.stride } else { [1, 1] };
            let kind = PoolKind::Avg { count_pad: true };
            y = self.add(call, Op::Pool(Pool { kind, kernel: [2, 2], stride, pad: [[0; 2]; 2], ceil: false }), &[&y])?;
        }
        Ok(y)
    }
}

/// Binomial coefficients that add up to 1: `[1, 2, 1] / 4`.
fn binomial(len: usize) -> Vec<f32> {
    let mut row = vec![1.0f32];
    while row.len() < len {
        let halves = |at: usize| row.get(at).copied().unwrap_or(0.0) / 2.0;
        row = (0..=row.len()).map(|at| halves(at) + at.checked_sub(1).map_or(0.0, halves)).collect();
    }
    row
}
