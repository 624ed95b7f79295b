//! Each pass a file: `Checked` to `Checked`. A pipeline is a readable list; in debug builds the graph is verified behind
//! every pass.

mod dce;
mod drop_identity;
mod fold_norm;
mod fuse_epilogue;
mod mask_norm;
mod rewrite;
mod verify;

pub use verify::verify;

use crate::ir::Checked;

/// A pass: its name, and what it does to the network.
type Pass = (&'static str, fn(&mut Checked));

/// What inference needs done, in order.
const INFERENCE: &[Pass] = &[
    ("drop-identity", drop_identity::run),
    ("fold-norm", fold_norm::run),
    ("fuse-epilogue", fuse_epilogue::run),
    ("dce", dce::run),
];

/// What the graph of a training step needs done, in order.
const TRAINING: &[Pass] = &[("fuse-epilogue", fuse_epilogue::run), ("mask-norm", mask_norm::run), ("dce", dce::run)];

/// The network as inference runs it: what is the identity dropped, norms folded, additions and activations fused.
///
/// What the front end knew of stages, shortcuts and labels has been checked, and is dropped.
pub fn inference(mut checked: Checked) -> Checked {
    checked.network.stages.clear();
    checked.network.shortcuts.clear();
    checked.network.labeled.clear();
    run(checked, INFERENCE)
}

/// The graph that [`crate::grad::training`] made, as it is run: additions and activations fused into norms, and the gradients of
/// activations into those of norms.
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
