//! Executes norms of each sample: see [`super::exec`].

use crate::ir::SampleNorm;
use crate::kernels::norm::strips;
use crate::kernels::norm::{NormParams, groups};
use crate::kernels::{Activation, Isa, Layout, ThreadPool};
use crate::plan::together;

/// A norm on a value of some sizes.
pub(super) struct Norm<'a> {
    pub norm: &'a SampleNorm,
    pub pool: &'a ThreadPool,
    pub isa: Isa,
    pub layout: Layout,
    pub sizes: [usize; 4],
}

impl Norm<'_> {
    fn params<'a>(&self, weights: &[&'a [f32]]) -> NormParams<'a> {
        NormParams { weight: weights.first().copied(), bias: weights.get(1).copied(), eps: self.norm.eps }
    }

    pub fn forward(
        &self,
        weights: &[&[f32]],
        x: Option<&[f32]>,
        act: Option<Activation<'_>>,
        scratch: &mut [f32],
        out: &mut [f32],
    ) {
        let Norm { pool, isa, layout, sizes, .. } = *self;
        let params = self.params(weights);
        match self.norm.over.groups(sizes[1]) {
            None => strips::forward(pool, isa, layout, together(self.norm.over), sizes, &params, x, out),
            Some(count) => groups::forward(pool, isa, layout, count, sizes, &params, x, act, scratch, out),
        }
    }

    pub fn grad_params(&self, x: &[f32], dy: &[f32], scratch: &mut [f32], out: &mut [f32]) {
        let Norm { norm: SampleNorm { eps, over, .. }, pool, isa, layout, sizes } = *self;
        match over.groups(sizes[1]) {
            None => strips::grad_params(pool, isa, layout, together(*over), sizes, *eps, x, dy, scratch, out),
            Some(count) => groups::grad_params(pool, isa, layout, count, sizes, *eps, x, dy, scratch, out),
        }
    }

    pub fn grad_input(&self, weights: &[&[f32]], x: Option<&[f32]>, dy: Option<&[f32]>, scratch: &mut [f32], out: &mut [f32]) {
        let Norm { pool, isa, layout, sizes, .. } = *self;
        let params = self.params(weights);
        match self.norm.over.groups(sizes[1]) {
            None => strips::grad_input(pool, isa, layout, together(self.norm.over), sizes, &params, x, dy, out),
            Some(count) => groups::grad_input(pool, isa, layout, count, sizes, &params, x, dy, scratch, out),
        }
    }
}
