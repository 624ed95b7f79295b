//! The networks that the command names.

use std::path::PathBuf;

use super::super::args::Named;
use super::super::failure::Failure;
use super::super::open::{Before, ModelArgs};
use super::super::output::Out;
use super::args::{Args, failure};
use crate::eval::{Ensemble, EvalOptions};

/// The networks, opened.
pub(super) struct Networks {
    pub ensemble: Ensemble,
    /// The arguments of each network.
    pub args: Vec<ModelArgs>,
    /// All files that they come from.
    pub files: Vec<PathBuf>,
}

impl Networks {
    /// Opens them if what they write passes a check, before any weights are read.
    pub fn open(args: &Args, options: &EvalOptions, check: &mut Before<'_>, out: &mut Out) -> Result<Networks, Failure> {
        let further = args.ensemble.iter().map(|named| further(&args.model, named));
        let mut networks = Networks { ensemble: Ensemble::default(), args: Vec::new(), files: Vec::new() };
        for args in std::iter::once(args.model.clone()).chain(further) {
            let (network, mut files) = args.load_if(out, check)?;
            let origin = args.file.display().to_string();
            networks.ensemble.push(network, origin, options, args.session_options()).map_err(failure)?;
            networks.files.append(&mut files);
            networks.args.push(args);
        }
        Ok(networks)
    }
}

/// The arguments of a further network. Threads and planning are those of the first.
fn further(first: &ModelArgs, named: &Named) -> ModelArgs {
    let mut args = first.clone();
    args.file.clone_from(&named.file);
    args.select.network.clone_from(&named.network);
    args.select.set.clear();
    args.renames.rename.clear();
    args.weights.clone_from(&named.weights);
    args
}
