//! Graph passes, one per file, from `Checked` to `Checked`. A pipeline is a list of passes; debug builds verify the graph after
//! each one.

mod dce;
mod drop_identity;
mod fold_norm;
mod fuse_epilogue;
mod mask_norm;
mod rewrite;
mod verify;

pub use verify::verify;

use crate::ir::Checked;

/// A pass: its name and function.
type Pass = (&'static str, fn(&mut Checked));

/// The inference pipeline, in order.
const INFERENCE: &[Pass] = &[
    ("drop-identity", drop_identity::run),
    ("fold-norm", fold_norm::run),
    ("fuse-epilogue", fuse_epilogue::run),
    ("dce", dce::run),
];

/// The training pipeline, in order.
const TRAINING: &[Pass] = &[("fuse-epilogue", fuse_epilogue::run), ("mask-norm", mask_norm::run), ("dce", dce::run)];

/// Optimizes a network for inference: drops identities, folds norms, fuses additions and activations.
///
/// Stages, shortcuts and labels have been checked by then and are dropped.
pub fn inference(mut checked: Checked) -> Checked {
    checked.network.stages.clear();
    checked.network.shortcuts.clear();
    checked.network.labeled.clear();
    run(checked, INFERENCE)
}

/// Optimizes a graph from [`crate::grad::training`]: fuses additions and activations into norms, and the gradients of
/// activations into the gradients of norms.
pub fn training(checked: Checked) -> Checked {
    run(checked, TRAINING)
}

fn run(mut checked: Checked, passes: &[Pass]) -> Checked {
    for (name, pass) in passes {
        pass(&mut checked);
        if cfg!(debug_assertions)
            && let Err(reason) = verify(&checked)
        {
            unreachable!("the pass `{name}` broke the graph: {reason}");
        }
    }
    checked
}
