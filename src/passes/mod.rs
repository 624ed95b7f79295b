//! Graph passes, one per file, which rewrite a [`ShapedNetwork`] in place. A pipeline is a list of passes; debug builds verify the
//! graph after each one.

mod dce;
mod drop_identity;
mod fold_norm;
mod fold_scale;
mod fuse_elementwise;
mod fuse_epilogue;
mod fuse_relu_grad;
mod rewrite;
mod round_bf16;
mod standardize;
mod verify;

use std::ops::Deref;

pub use verify::verify;

use crate::grad::TrainingStep;
use crate::ir::{Canonical, Checked, Plannable, Rewrite, Runnable, ShapedNetwork};

/// A network after the inference pipeline: without identities, with folded norms and fused epilogues. Made by [`inference`].
#[derive(Clone, Debug)]
pub struct Optimized(ShapedNetwork);

impl Deref for Optimized {
    type Target = ShapedNetwork;

    fn deref(&self) -> &ShapedNetwork {
        &self.0
    }
}

impl Rewrite for Optimized {
    fn network_mut(&mut self) -> &mut ShapedNetwork {
        &mut self.0
    }
}

impl Runnable for Optimized {}
impl Plannable for Optimized {}

/// A pass: its name and function.
type Pass = (&'static str, fn(&mut ShapedNetwork));

/// The inference pipeline, in order.
const INFERENCE: &[Pass] = &[
    ("drop-identity", drop_identity::run),
    ("standardize", standardize::run),
    ("fold-norm", fold_norm::run),
    ("fold-scale", fold_scale::run),
    ("fuse-epilogue", fuse_epilogue::run),
    ("fuse-elementwise", fuse_elementwise::run),
    ("dce", dce::run),
];

/// What follows if layers have less than f32's precision: their rounding becomes explicit, and is fused like other functions.
const LOWERING: &[Pass] = &[
    ("round-bf16", round_bf16::run),
    ("fuse-epilogue", fuse_epilogue::run),
    ("fuse-elementwise", fuse_elementwise::run),
    ("dce", dce::run),
];

/// The training pipeline, in order.
const TRAINING: &[Pass] = &[
    ("standardize", standardize::run),
    ("fuse-epilogue", fuse_epilogue::run),
    ("fuse-relu-grad", fuse_relu_grad::run),
    ("fuse-elementwise", fuse_elementwise::run),
    ("dce", dce::run),
];

/// Optimizes a network for inference: drops identities, folds norms, fuses additions and activations.
pub fn inference(network: Canonical) -> Optimized {
    Optimized(optimize(network.into()))
}

/// Runs the inference pipeline on a network as declared, for exporters and dumps: 1-D values stay 1-D. The result can be read, but
/// neither planned nor trained.
pub fn fold(network: Checked) -> ShapedNetwork {
    optimize(network.into())
}

/// Optimizes a training step: fuses additions and activations into norms, and the gradients of activations into the gradients of
/// norms.
pub fn training(mut step: TrainingStep) -> TrainingStep {
    run(step.network_mut(), TRAINING);
    step
}

/// The inference pipeline. Stages, shortcuts and labels were checked before and are dropped.
fn optimize(mut network: ShapedNetwork) -> ShapedNetwork {
    network.network.stages.clear();
    network.network.shortcuts.clear();
    network.network.labeled.clear();
    run(&mut network, INFERENCE);
    if !network.network.precision.is_f32() {
        run(&mut network, LOWERING);
    }
    network
}

fn run(network: &mut ShapedNetwork, passes: &[Pass]) {
    for (name, pass) in passes {
        pass(network);
        if cfg!(debug_assertions)
            && let Err(reason) = verify(network)
        {
            unreachable!("the pass `{name}` broke the graph: {reason}");
        }
    }
}
