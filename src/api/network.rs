//! A checked network, without its weights.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::error::{Diagnostic, Error};
use super::options::CompileOptions;
use crate::driver::Frontend;
use crate::ir::dump::{DumpOptions, dump};
use crate::ir::summary::{Totals, rows};
use crate::ir::{Checked, Op};

/// A network whose shapes, parameters and design rules have been checked. It needs no weights.
///
/// ```
/// use resnetc::{CompileOptions, Network};
///
/// # fn main() -> Result<(), resnetc::Error> {
/// let network = Network::open("models/cifar.resnet", &CompileOptions::default().network("resnet20"))?;
/// let summary = network.summary();
/// assert_eq!(summary.params, 269_722);
/// assert_eq!(summary.macs, Some(40_551_040));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Network {
    checked: Arc<Checked>,
    warnings: Arc<[Diagnostic]>,
}

impl Network {
    /// Reads a `.resnet` file and the files that it uses, and checks one of its networks. The weights in `options` are not read.
    pub fn open(path: impl AsRef<Path>, options: &CompileOptions) -> Result<Network, Error> {
        Ok(open(path.as_ref(), options)?.0)
    }

    /// Its name in the source.
    pub fn name(&self) -> &str {
        &self.checked.network.name
    }

    /// The names and shapes of its inputs, without the batch: `("input", "3 x 224 x 224")`. A free size is `H` or `W`.
    pub fn inputs(&self) -> Vec<(String, String)> {
        let graph = self.checked.graph();
        let inputs = graph.inputs().iter().map(|&id| (id, graph.node(id)));
        let inputs = inputs.filter(|(_, node)| matches!(node.op, Op::Input(_)));
        inputs.map(|(id, node)| (node.name.clone(), self.checked.shape(id).to_string())).collect()
    }

    /// The names and shapes of its outputs, without the batch.
    pub fn outputs(&self) -> Vec<(String, String)> {
        let outputs = self.checked.graph().outputs().iter();
        outputs.map(|(name, value)| (name.clone(), self.checked.types.get(*value).to_string())).collect()
    }

    /// The names of its classes; empty if the source states none.
    pub fn classes(&self) -> &[String] {
        &self.checked.network.labels
    }

    /// The graph as text, a line per node: what `resnetc compile --emit graph` prints. The same source gives the same text, so a
    /// snapshot of it shows what a change does to a network.
    pub fn graph(&self) -> String {
        dump(&self.checked, DumpOptions::default())
    }

    /// Layers with their shapes, parameters and multiply-adds: what `resnetc summary` prints.
    pub fn summary(&self) -> Summary {
        let Totals { layers, params, macs } = Totals::of(&self.checked);
        let rows = rows(&self.checked).into_iter().map(|row| LayerSummary {
            name: row.name,
            operator: row.operator,
            output: row.output,
            params: row.params,
            macs: row.macs,
        });
        Summary { rows: rows.collect(), layers, params, macs }
    }

    /// Warnings about the source.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    pub(super) fn new(checked: Checked, warnings: Vec<Diagnostic>) -> Network {
        Network { checked: Arc::new(checked), warnings: warnings.into() }
    }

    pub(super) fn checked(&self) -> &Checked {
        &self.checked
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The front end, from which weights can be bound, and the checked network.
pub(super) fn open(path: &Path, options: &CompileOptions) -> Result<(Network, Frontend), Error> {
    let mut front = Frontend::open(path).map_err(Error::read)?;
    let name = front.select(options.network.as_deref()).map_err(Error::select);
    // without a network to name, errors of syntax say why
    let name =
        name.map_err(|error| if front.has_errors() { Error::source(&front.diagnostics, &front.sources) } else { error })?;
    match front.check(&name, &options.set) {
        Some(checked) => {
            let warnings = Diagnostic::list(&front.diagnostics, &front.sources);
            Ok((Network::new(checked, warnings), front))
        }
        None => Err(Error::source(&front.diagnostics, &front.sources)),
    }
}

/// The layers of a network, and totals.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// A row per operator, in the order of computation.
    pub rows: Vec<LayerSummary>,
    /// Convolutions and linear layers on the longest path: the number in a network's name.
    pub layers: u64,
    /// Learned parameters.
    pub params: u64,
    /// Multiply-adds of convolutions and linear layers for one sample; `None` if the input size is free.
    pub macs: Option<u64>,
}

/// A row of a [`Summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerSummary {
    /// The layer's name, as in checkpoints: `layer1.0.conv1`.
    pub name: String,
    /// The operator with its attributes: `conv 3x3, 64`.
    pub operator: String,
    /// The output shape without the batch: `64 x 56 x 56`.
    pub output: String,
    /// Learned parameters.
    pub params: u64,
    /// Multiply-adds for one sample; `None` if the input size is free.
    pub macs: Option<u64>,
}
