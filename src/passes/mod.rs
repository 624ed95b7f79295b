//! Each pass a file: `Checked` to `Checked`. A pipeline is a readable list; in debug builds the graph is verified behind
//! every pass.

mod dce;
mod drop_identity;
mod fold_norm;
mod fuse_epilogue;
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

/// The network as inference runs it: what is the identity dropped, norms folded, additions and activations fused.
///
/// What the front end knew of stages, shortcuts and labels has been checked, and is dropped.
pub fn inference(mut checked: Checked) -> Checked {
    checked.network.stages.clear();
    checked.network.shortcuts.clear();
    checked.network.labelled.clear();
    for (name, pass) in INFERENCE {
        pass(&mut checked);
        if cfg!(debug_assertions)
            && let Err(reason) = verify(&checked)
        {
            unreachable!("the pass `{name}` broke the graph: {reason}");
        }
    }
    checked
}
