//! Models and sessions.

use std::fmt;
use std::path::Path;

use ndarray::ArrayViewD;

use super::error::{Error, ErrorKind};
use super::network::{self, Network};
use super::options::{CompileOptions, SessionOptions};
use crate::formats::artifact::is_artifact;
use crate::formats::rename::Rename;
use crate::infer::BoundNetwork;
use crate::runtime::{self, Outputs};

/// A network with its parameters, ready to run. Cheap to clone; sessions and clones share the parameters.
#[derive(Clone)]
pub struct Model {
    network: Network,
    pub(super) model: runtime::Model,
}

/// Compiles a network of a `.resnet` file.
///
/// ```
/// use resnetc::ndarray::ArrayD;
/// use resnetc::{CompileOptions, Weights, compile};
///
/// # fn main() -> Result<(), resnetc::Error> {
/// let model = compile("models/cifar.resnet", &CompileOptions::default().network("resnet20").weights(Weights::Init(1)))?;
///
/// // a batch of two images: [batch, channels, height, width]
/// let images = ArrayD::<f32>::zeros(vec![2, 3, 32, 32]);
/// let outputs = model.session()?.run(&[("input", images.view())])?;
/// assert_eq!(outputs.main().shape(), [2, 10]);
/// # Ok(())
/// # }
/// ```
pub fn compile(path: impl AsRef<Path>, options: &CompileOptions) -> Result<Model, Error> {
    let (network, mut front) = network::open(path.as_ref(), options)?;
    front.renames = options.rename.iter().map(|(old, new)| Rename { old: old.clone(), new: new.clone() }).collect();
    let params = front.params(network.checked(), &options.weights.lower());
    let params = params.map_err(|error| Error::weights(error, &front.sources))?;
    let model = runtime::Model::new(network.checked().clone(), params);
    Ok(Model { model: model.map_err(|error| Error::new(ErrorKind::Weights, error))?, network })
}

/// An artifact, or the network of a source that names its weights.
pub(super) fn load_any(path: &Path) -> Result<Model, Error> {
    if is_artifact(path) { Model::load(path) } else { compile(path, &CompileOptions::default()) }
}

impl Model {
    /// Loads an artifact (`.rnx`), written by `resnetc compile -o`. Its weights are mapped, not copied.
    pub fn load(path: impl AsRef<Path>) -> Result<Model, Error> {
        let bound = BoundNetwork::open_artifact(path.as_ref()).map_err(Error::artifact)?;
        let network = Network::new(bound.checked.clone(), Vec::new());
        Ok(Model { model: bound.model().map_err(|error| Error::new(ErrorKind::File, error))?, network })
    }

    /// The network: its graph, shapes and classes.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// A session with as many threads as the process may use.
    pub fn session(&self) -> Result<Session, Error> {
        self.session_with(SessionOptions::default())
    }

    /// A session with the given options.
    pub fn session_with(&self, options: SessionOptions) -> Result<Session, Error> {
        Ok(Session { session: self.model.session_with(options.lower()?).map_err(Error::run)? })
    }
}

/// A model in use by one thread, with its memory and its worker threads. The same input and thread count give the same bits.
pub struct Session {
    session: runtime::Session,
}

impl Session {
    /// Runs the network on named inputs. The first axis of each is the batch, and the values are those that the network takes:
    /// for images, after preprocessing.
    ///
    /// The first run with a new batch size or input size plans for it and is slower; see [`Session::prepare`].
    pub fn run(&mut self, inputs: &[(&str, ArrayViewD<'_, f32>)]) -> Result<Outputs, Error> {
        self.session.run(inputs).map_err(Error::run)
    }

    /// Plans and allocates for a batch size before the first run. `size` is the height and width, where the network leaves them
    /// free.
    pub fn prepare(&mut self, batch: usize, size: [Option<usize>; 2]) -> Result<(), Error> {
        self.session.prepare(batch, size).map_err(Error::run)
    }

    /// Number of threads, including the calling one.
    pub fn threads(&self) -> usize {
        self.session.threads()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("network", &self.network.name()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("threads", &self.threads()).finish_non_exhaustive()
    }
}
