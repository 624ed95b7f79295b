//! Opens a command's FILE, a source or an artifact, as a model.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Args;

use super::about::About;
use super::args::{Format, Planning, PrecisionArgs, Renames, Select, parse_threads, parse_weights, split};
use super::failure::Failure;
use super::output::Out;
use crate::driver::{CompileError, Frontend, Weights};
use crate::elaborate::ReadError;
use crate::formats::artifact;
use crate::formats::kind;
use crate::infer::BoundNetwork;
use crate::ir::Checked;
use crate::kernels::Isa;
use crate::runtime::{Model, ParamStore, Session, SessionOptions};
use crate::syntax::MAX_SOURCE;
use crate::train::RunDir;

/// The files that stand for standard input: what is written, and what `-:NETWORK` becomes, which would else be an option.
pub(super) const STDIN: [&str; 2] = ["-", "<stdin>"];

/// Whether a file stands for standard input.
pub(super) fn is_stdin(file: &Path) -> bool {
    STDIN.iter().any(|name| file == Path::new(name))
}

/// What FILE means: a source or an artifact, with the network; of a run, the copy of its source, its settings and its weights.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub file: PathBuf,
    pub select: Select,
    /// The weights that are given, or else those of the run.
    pub weights: Option<Weights>,
    pub run: Option<About>,
}

impl Place {
    /// Splits FILE:NETWORK, and reads what a run says about itself. A run that has ended has weights, an earlier one a checkpoint.
    pub fn of(file: &Path, select: &Select, weights: Option<&Weights>) -> Result<Place, Failure> {
        let (file, select) = if file.is_dir() { (file.to_path_buf(), select.clone()) } else { split(file, select)? };
        if !file.is_dir() {
            return Ok(Place { file, select, weights: weights.cloned(), run: None });
        }
        let dir = RunDir::new(&file);
        let mut run = About::read(&dir)?;
        if let Some(name) = select.network.as_ref().filter(|name| **name != run.network) {
            let path = file.display();
            return Err(Failure::Usage(format!("`{path}` is a run of network `{}`, not of `{name}`", run.network)));
        }
        run.set(&select.set);
        let own = || [dir.weights(), dir.checkpoint()].into_iter().find(|path| path.exists()).map(Weights::File);
        Ok(Place {
            file: run.source(&dir),
            select: Select { network: Some(run.network.clone()), set: run.set.clone(), ..select },
            weights: weights.cloned().or_else(own),
            run: Some(run),
        })
    }

    /// The checked network of a source; its diagnostics are shown. The classes of a run's data name those of the network.
    pub fn check(&self, front: &mut Frontend, out: &mut Out) -> Result<Checked, Failure> {
        let mut checked = check(front, &self.select, out)?;
        self.name_classes(&mut checked);
        Ok(checked)
    }

    /// Gives the network the names of the classes in the run's data, if it has none of its own.
    pub fn name_classes(&self, checked: &mut Checked) {
        if let Some(run) = &self.run {
            run.name_classes(checked);
        }
    }
}

/// Options that select a model and how it runs.
#[derive(Clone, Debug, Args)]
pub(super) struct ModelArgs {
    /// Source (.resnet), artifact (.rnx) written by `resnetc compile`, or run directory written by `resnetc train`; FILE:NETWORK
    /// selects one of several networks, and - reads a source from standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub select: Select,
    /// Weights: a safetensors, PyTorch or NumPy file, or init[:SEED] for random ones [default: as named in the file]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights)]
    pub weights: Option<Weights>,
    #[command(flatten)]
    pub renames: Renames,
    /// Number of threads [default: all available CPUs]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub threads: Option<NonZeroU16>,
    #[command(flatten)]
    pub precision: PrecisionArgs,
    #[command(flatten)]
    pub planning: Planning,
    /// The run, if FILE is its directory.
    #[arg(skip)]
    pub run: Option<About>,
}

impl ModelArgs {
    /// The same options, with FILE:NETWORK split into the file and `--network`.
    /// A run directory becomes its source and weights.
    pub fn resolved(&self) -> Result<ModelArgs, Failure> {
        if self.run.is_some() {
            return Ok(self.clone());
        }
        let Place { file, select, weights, run } =
            Place::of(&self.file, &self.select.renaming(&self.renames), self.weights.as_ref())?;
        Ok(ModelArgs { file, select, weights, run, ..self.clone() })
    }

    /// The model. Errors in the file or its weights are shown.
    pub fn model(&self, out: &mut Out) -> Result<Model, Failure> {
        let (network, _) = self.load(out)?;
        network.model().map_err(Failure::input)
    }

    /// The network with its weights, and the files that it comes from; what is wrong with it is shown.
    pub fn load(&self, out: &mut Out) -> Result<(BoundNetwork, Vec<PathBuf>), Failure> {
        self.load_if(out, &mut |_, _, _| Ok(()))
    }

    /// The same if the network passes a check, which comes before its weights are read, since that may take long. The check is given the files
    /// that the network comes from.
    pub fn load_if(&self, out: &mut Out, check: &mut Before<'_>) -> Result<(BoundNetwork, Vec<PathBuf>), Failure> {
        let from = self.resolved()?;
        let is_artifact = artifact::is_artifact(&from.file);
        let (mut network, files) = if is_artifact { from.artifact(out, check)? } else { from.source(out, check)? };
        network.settings = self.planning.apply(&network.settings);
        Ok((network, files))
    }

    /// The network without its weights, and the files that were read. Errors are shown.
    pub fn checked(&self, out: &mut Out) -> Result<(Checked, Vec<PathBuf>), Failure> {
        let from = self.resolved()?;
        if artifact::is_artifact(&from.file) {
            let checked = artifact::read(&from.file).map_err(Failure::input)?.checked;
            return Ok((checked, vec![from.file]));
        }
        let mut front = source(&from.file)?;
        let mut checked = check(&mut front, &from.select, out)?;
        from.precision.apply(&mut checked);
        let read = front.files(&checked, &Weights::Named);
        Ok((checked, read))
    }

    fn artifact(&self, out: &mut Out, before: &mut Before<'_>) -> Result<(BoundNetwork, Vec<PathBuf>), Failure> {
        let renames = !self.renames.rename.is_empty();
        if renames || self.weights.is_some() || self.select.network.is_some() || !self.select.set.is_empty() {
            return Err(Failure::Usage(
                "an artifact contains its network and weights: give --network, --set, --weights and --rename to `resnetc compile`".into(),
            ));
        }
        if self.precision.precision.is_some() {
            return Err(Failure::Usage(
                "the precision of each layer is fixed in an artifact: give --precision to `resnetc compile`".into(),
            ));
        }
        let network = BoundNetwork::open_artifact(&self.file).map_err(Failure::input)?;
        let files = vec![self.file.clone()];
        before(&network.checked, &files, out)?;
        if let (Some(packs), Ok(isa)) = (&network.packs, Isa::chosen())
            && packs.isa().lanes() != isa.lanes()
        {
            let (file, packed) = (self.file.display(), packs.isa());
            out.note(format_args!("note: the weights of `{file}` are packed for {packed}, and will be packed again for {isa}"));
        }
        Ok((network, files))
    }

    fn source(&self, out: &mut Out, before: &mut Before<'_>) -> Result<(BoundNetwork, Vec<PathBuf>), Failure> {
        let mut front = source(&self.file)?;
        let mut checked = check(&mut front, &self.select, out)?;
        self.precision.apply(&mut checked);
        let files = front.files(&checked, self.weights.as_ref().unwrap_or(&Weights::Named));
        if let Some(run) = &self.run {
            run.name_classes(&mut checked);
        }
        before(&checked, &files, out)?;
        let params = bind(&checked, &front, self.weights.as_ref(), out)?;
        Ok((BoundNetwork::new(checked, params), files))
    }

    /// A session with these options.
    pub fn session(&self, model: &Model) -> Result<Session, Failure> {
        model.session_with(self.session_options()).map_err(Failure::input)
    }

    /// Reports weights that the session had to pack although the artifact contains packed weights for its instruction set, or for one with blocks of
    /// the same size, whose layouts are the same.
    pub fn note_packs(&self, session: &Session, out: &Out) {
        let (model, file) = (session.model(), self.file.display());
        let repacked = model.packed_bytes();
        if repacked > 0 && model.packed_weights().is_some_and(|packs| packs.isa().lanes() == session.isa().lanes()) {
            out.note(format_args!(
                "note: {:.1} MB of weights were packed again: those in `{file}` are for another batch size, thread count or planner option",
                repacked as f64 / 1e6
            ));
        }
    }

    /// The options of its sessions.
    pub fn session_options(&self) -> SessionOptions {
        let threads = self.threads.map_or_else(|| SessionOptions::default().threads, |n| usize::from(n.get()));
        SessionOptions { threads, ..SessionOptions::default() }
    }
}

/// What is checked of a network and the files that it comes from before its weights are read.
pub(super) type Before<'a> = dyn FnMut(&Checked, &[PathBuf], &mut Out) -> Result<(), Failure> + 'a;

/// The text on standard input, which is read once.
fn stdin() -> Result<&'static str, Failure> {
    static TEXT: OnceLock<String> = OnceLock::new();
    if let Some(text) = TEXT.get() {
        return Ok(text);
    }
    let mut bytes = Vec::new();
    let limit = MAX_SOURCE as u64 + 1;
    io::stdin()
        .lock()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::Input(format!("cannot read standard input: {e}")))?;
    if bytes.len() > MAX_SOURCE {
        return Err(Failure::Input(format!("standard input is larger than {} MiB, the limit for a source", MAX_SOURCE >> 20)));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::Input("standard input is not a source: it is not UTF-8 text".into()))?;
    Ok(TEXT.get_or_init(|| text))
}

/// Loads a source and the files that it uses. The error for a file of another kind names that kind and what to do.
pub(super) fn source(path: &Path) -> Result<Frontend, Failure> {
    if is_stdin(path) {
        return Ok(Frontend::text(STDIN[1], stdin()?));
    }
    Frontend::open(path).map_err(|error| match (&error, kind::of_source(path)) {
        (ReadError::TooLarge { .. } | ReadError::NotText { .. }, Some(found)) => {
            Failure::Input(format!("`{}` {found}", path.display()))
        }
        _ => Failure::input(error),
    })
}

/// The checked network; its diagnostics are shown.
pub(super) fn check(front: &mut Frontend, select: &Select, out: &mut Out) -> Result<Checked, Failure> {
    match inspect(front, select, out)? {
        (checked, Expectations::Met) => Ok(checked),
        (_, Expectations::Failed) => Err(Failure::Said),
    }
}

/// Whether a network is as its `expect` lines say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectations {
    Met,
    Failed,
}

/// The network to look at, which may break its expectations; its diagnostics are shown.
pub(super) fn inspect(front: &mut Frontend, select: &Select, out: &mut Out) -> Result<(Checked, Expectations), Failure> {
    front.renames.clone_from(&select.rename);
    let name = front.select(select.network.as_deref()).map_err(Failure::input)?;
    let checked = front.inspect(&name, &select.set);
    let expectations = if front.has_errors() { Expectations::Failed } else { Expectations::Met };
    let diags = std::mem::take(&mut front.diagnostics);
    out.diagnostics(&diags, &front.sources, Format::Text)?;
    Ok((checked.ok_or(Failure::Said)?, expectations))
}

/// The weights that the command or the file names.
pub(super) fn bind(checked: &Checked, front: &Frontend, from: Option<&Weights>, out: &mut Out) -> Result<ParamStore, Failure> {
    if matches!(from, Some(Weights::Init(_))) {
        without_renames(front)?;
    }
    let bound = front.params_noting(checked, from.unwrap_or(&Weights::Named)).or_else(|error| match error {
        CompileError::Source { diagnostics, .. } => {
            out.diagnostics(&diagnostics, &front.sources, Format::Text)?;
            Err(Failure::Input(format!("the weights do not fit network `{}`", checked.network.name)))
        }
        CompileError::NoWeights { network } => Err(Failure::Input(format!(
            "network `{network}` has no weights: give a file with --weights FILE, or use random ones with --weights init"
        ))),
        other => Err(Failure::input(other)),
    })?;
    for note in &bound.notes {
        out.note(format_args!("note: {note}"));
    }
    if let Some(Weights::File(path)) = from {
        note_order(path, &checked.network.labels, out);
    }
    Ok(bound.params)
}

/// An error if tensors of a file are renamed although none is read.
pub(super) fn without_renames(front: &Frontend) -> Result<(), Failure> {
    match front.renames.is_empty() {
        true => Ok(()),
        false => Err(Failure::Usage("--rename is about tensors of a weight file, but the weights are random".into())),
    }
}

/// Warns if the weights are those of a run whose classes have the same names in another order.
fn note_order(weights: &Path, labels: &[String], out: &Out) {
    let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<String>>();
    let dir = if weights.is_dir() { Some(weights) } else { weights.parent() };
    let Some((dir, names)) = dir.and_then(|dir| Some((dir, classes_of_run(dir)?))) else { return };
    let first = names.iter().zip(labels).enumerate().find(|(_, (trained, stated))| trained != stated);
    if let Some((index, (trained, stated))) = first
        && names.len() == labels.len()
        && sorted(&names) == sorted(labels)
    {
        out.note(format_args!(
            "warning: the run `{}` has the classes in another order than `labels`: class {index} is `{trained}` there and `{stated}` here",
            dir.display()
        ));
    }
}

/// The names of a run's classes, in the order of its scores; `None` if the folder is no run or has none.
fn classes_of_run(dir: &Path) -> Option<Vec<String>> {
    let place = Place::of(dir, &Select::default(), None).ok()?;
    let classes = place.run.map(|run| run.classes).unwrap_or_default();
    if !classes.is_empty() {
        return Some(classes);
    }
    let mut front = Frontend::open(&place.file).ok()?;
    let checked = front.check(place.select.network.as_deref()?, &place.select.set)?;
    Some(checked.network.labels.clone()).filter(|labels| !labels.is_empty())
}
