//! From a command's FILE, source or artifact, to a model.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use clap::Args;

use super::args::{Format, Planning, Select, parse_threads, parse_weights, split};
use super::output::{Failure, Out};
use crate::driver::{CompileError, Frontend, Weights};
use crate::elaborate::ReadError;
use crate::formats::artifact::{self, Artifact, ArtifactError};
use crate::formats::kind;
use crate::ir::Checked;
use crate::kernels::Isa;
use crate::plan::Settings;
use crate::runtime::{Model, PackedWeights, ParamStore, Session, SessionOptions};

/// A model to run.
#[derive(Clone, Debug, Args)]
pub(super) struct ModelArgs {
    /// A source (.resnet), or an artifact (.rnx) that `resnetc compile` wrote; FILE:NETWORK names one of several networks
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub select: Select,
    /// Weights: a safetensors, PyTorch or NumPy file, or init[:SEED] for He initialization [default: those that the file names]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights)]
    pub weights: Option<Weights>,
    /// Threads [default: as many as the process may use]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub threads: Option<NonZeroU16>,
    #[command(flatten)]
    pub planning: Planning,
}

/// A network as it was checked, and all that a model of it is made from.
pub(super) struct Loaded {
    pub checked: Checked,
    params: ParamStore,
    packs: Option<PackedWeights>,
    settings: Settings,
    /// All files that it comes from.
    pub read: Vec<PathBuf>,
    /// The file, where it is an artifact.
    artifact: Option<PathBuf>,
}

impl Loaded {
    /// The model.
    pub fn model(self) -> Result<Model, Failure> {
        let model = Model::with_packed_weights(self.checked, self.params, self.packs, Some(self.settings));
        model.map_err(|error| match self.artifact {
            Some(path) => Failure::input(ArtifactError::Damaged { path, reason: error.to_string() }),
            None => Failure::input(error),
        })
    }
}

impl ModelArgs {
    /// The same with the network that stands behind a colon as if it were given with `--network`.
    pub fn resolved(&self) -> Result<ModelArgs, Failure> {
        let (file, select) = split(&self.file, &self.select)?;
        Ok(ModelArgs { file, select, ..self.clone() })
    }

    /// The model; what is wrong with the file or its weights is shown.
    pub fn model(&self, out: &mut Out) -> Result<Model, Failure> {
        self.load(out)?.model()
    }

    /// The network with its weights; what is wrong with either is shown.
    pub fn load(&self, out: &mut Out) -> Result<Loaded, Failure> {
        let from = self.resolved()?;
        let mut loaded = if artifact::is_artifact(&from.file) { from.artifact(out)? } else { from.source(out)? };
        loaded.settings = self.planning.apply(&loaded.settings);
        Ok(loaded)
    }

    /// The network without its weights, and the files that it comes from; what is wrong with it is shown.
    pub fn checked(&self, out: &mut Out) -> Result<(Checked, Vec<PathBuf>), Failure> {
        let from = self.resolved()?;
        if artifact::is_artifact(&from.file) {
            let checked = artifact::read(&from.file).map_err(Failure::input)?.checked;
            return Ok((checked, vec![from.file]));
        }
        let mut front = source(&from.file)?;
        let checked = check(&mut front, &from.select, out)?;
        let read = front.files(&checked, &Weights::Named);
        Ok((checked, read))
    }

    fn artifact(&self, out: &mut Out) -> Result<Loaded, Failure> {
        if self.weights.is_some() || self.select.network.is_some() || !self.select.set.is_empty() {
            return Err(Failure::Usage(
                "an artifact holds its network and weights: --network, --set and --weights belong to `resnetc compile`".into(),
            ));
        }
        let Artifact { checked, params, packs, settings, .. } = artifact::read(&self.file).map_err(Failure::input)?;
        if let (Some(packs), Ok(isa)) = (&packs, Isa::chosen())
            && packs.isa() != isa
        {
            let (file, packed) = (self.file.display(), packs.isa());
            out.note(format_args!("note: the weights of `{file}` are packed for {packed}; for {isa} they are packed again"));
        }
        let (read, artifact) = (vec![self.file.clone()], Some(self.file.clone()));
        Ok(Loaded { checked, params, packs, settings: settings.unwrap_or_default(), read, artifact })
    }

    fn source(&self, out: &mut Out) -> Result<Loaded, Failure> {
        let mut front = source(&self.file)?;
        let checked = check(&mut front, &self.select, out)?;
        let params = bind(&checked, &front, self.weights.as_ref(), out)?;
        let read = front.files(&checked, self.weights.as_ref().unwrap_or(&Weights::Named));
        Ok(Loaded { checked, params, packs: None, settings: Settings::default(), read, artifact: None })
    }

    /// A session of a model.
    pub fn session(&self, model: &Model) -> Result<Session, Failure> {
        model.session_with(self.session_options()).map_err(Failure::input)
    }

    /// Says what of the weights a session has packed itself, although the artifact holds packs for its instruction set.
    pub fn note_packs(&self, session: &Session, out: &Out) {
        let (model, file) = (session.model(), self.file.display());
        let anew = model.packed_bytes();
        if anew > 0 && model.packed_weights().is_some_and(|packs| packs.isa() == session.isa()) {
            out.note(format_args!(
                "note: {:.1} MB of weights were packed again: those in `{file}` are packed for another batch, thread count or planning",
                anew as f64 / 1e6
            ));
        }
    }

    /// How its sessions run.
    pub fn session_options(&self) -> SessionOptions {
        let threads = self.threads.map_or_else(|| SessionOptions::default().threads, |n| usize::from(n.get()));
        SessionOptions { threads, ..SessionOptions::default() }
    }
}

/// Loads a source and the files that it uses. A file of another kind is named, with what to do.
pub(super) fn source(path: &Path) -> Result<Frontend, Failure> {
    Frontend::open(path).map_err(|error| match (&error, kind::of_source(path)) {
        (ReadError::TooLarge { .. } | ReadError::NotText { .. }, Some(found)) => {
            Failure::Input(format!("`{}` {found}", path.display()))
        }
        _ => Failure::input(error),
    })
}

/// A checked network, with everything said about it shown.
pub(super) fn check(front: &mut Frontend, select: &Select, out: &mut Out) -> Result<Checked, Failure> {
    let name = front.select(select.network.as_deref()).map_err(Failure::input)?;
    let checked = front.check(&name, &select.set);
    let diags = std::mem::take(&mut front.diagnostics);
    out.diagnostics(&diags, &front.sources, Format::Text)?;
    checked.ok_or(Failure::Said)
}

/// The weights that the command or the file names.
pub(super) fn bind(checked: &Checked, front: &Frontend, from: Option<&Weights>, out: &mut Out) -> Result<ParamStore, Failure> {
    front.params(checked, from.unwrap_or(&Weights::Named)).or_else(|error| match error {
        CompileError::Source { diagnostics, .. } => {
            out.diagnostics(&diagnostics, &front.sources, Format::Text)?;
            Err(Failure::Input(format!("the weights do not fit network `{}`", checked.network.name)))
        }
        CompileError::NoWeights { network } => Err(Failure::Input(format!(
            "network `{network}` names no weights: give them with --weights FILE, or random ones with --weights init"
        ))),
        other => Err(Failure::input(other)),
    })
}
