//! Loads a file as the data of a page.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::ArrayD;

use crate::base::file_system::{FileSystem, MemoryFiles};
use crate::base::mmap::Bytes;
use crate::base::source::SourceFile;
use crate::check;
use crate::cli::args::Select;
use crate::cli::failure::Failure;
use crate::cli::open::{self, Expectations};
use crate::cli::output::Out;
use crate::decompile::{Options, decompile};
use crate::driver::{Frontend, Weights};
use crate::formats::{artifact, npy, onnx};
use crate::ir::{Checked, Graph};
use crate::view::{SourceText, ViewModel};

/// The maximum number of operators on a page: beyond this, a browser's layout takes too long.
const MAX_SHOWN: usize = 200_000;

/// The kind of file that a network comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `.resnet` source.
    Source,
    /// An artifact written by `resnetc compile`.
    Artifact,
    /// An ONNX file.
    Onnx,
}

/// The kind of a file; an error if the arguments do not apply to it.
pub(super) fn kind(file: &Path, select: &Select) -> Result<Kind, Failure> {
    let kind = match file.extension() {
        _ if artifact::is_artifact(file) => Kind::Artifact,
        Some(ending) if ending.eq_ignore_ascii_case("onnx") => Kind::Onnx,
        _ => Kind::Source,
    };
    if kind != Kind::Source && (select.network.is_some() || !select.set.is_empty()) {
        return Err(Failure::Usage("--network and --set only apply to sources: this file contains a single network".into()));
    }
    Ok(kind)
}

/// A network as the data of a page.
pub(super) struct Loaded {
    pub model: ViewModel,
    /// All files that were read.
    pub files: Vec<PathBuf>,
    pub expectations: Expectations,
}

/// The network of a file. Errors in the source are shown.
pub(super) fn model(file: &Path, select: &Select, out: &mut Out) -> Result<Loaded, Failure> {
    let whole = |model| Loaded { model, files: vec![file.to_path_buf()], expectations: Expectations::Met };
    match kind(file, select)? {
        Kind::Artifact => return of_artifact(file).map(whole),
        Kind::Onnx => return of_onnx(file).map(whole),
        Kind::Source => {}
    }
    let mut front = open::source(file)?;
    let (checked, expectations) = open::inspect(&mut front, select, out)?;
    Ok(Loaded { model: of_source(&checked, file, &front)?, files: front.files(&checked, &Weights::Named), expectations })
}

/// The network of a source.
pub(super) fn of_source(checked: &Checked, file: &Path, front: &Frontend) -> Result<ViewModel, Failure> {
    bounded(checked)?;
    Ok(ViewModel::new(checked, &file.display().to_string(), Some(&front.sources)))
}

/// The network of an artifact, which contains its sources. If they still compile to the same graph, source lines are known too.
pub(super) fn of_artifact(file: &Path) -> Result<ViewModel, Failure> {
    let name = file.display().to_string();
    let artifact = artifact::read(file).map_err(Failure::input)?;
    bounded(&artifact.checked)?;
    if let Some((checked, front)) = compiled_again(&artifact) {
        return Ok(ViewModel::new(&checked, &name, Some(&front.sources)));
    }
    let mut model = ViewModel::new(&artifact.checked, &name, None);
    // the artifact itself is listed as a file without text
    let sources = artifact.sources.files().filter(|(_, file)| !file.text.is_empty());
    model.sources = sources.map(|(_, file)| SourceText { name: file.name.clone(), text: file.text.to_string() }).collect();
    Ok(model)
}

/// The network of an ONNX file, with the source that `resnetc import` generates for it. If there is none, layers are grouped by
/// name.
pub(super) fn of_onnx(file: &Path) -> Result<ViewModel, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::Input(format!("`{}`: {why}", file.display()));
    let name = file.display().to_string();
    let imported = onnx::open(file).map_err(|error| wrong(&error))?;
    let network = file.file_stem().map_or_else(|| "imported".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let options = Options { network: network.clone(), ..Options::default() };
    if let Ok(decompiled) = decompile(&imported.graph, &options) {
        let source = SourceFile { name: format!("{name}, decompiled"), path: None, text: decompiled.source.as_str().into() };
        let mut front = Frontend::source(source);
        if let Some(checked) = front.check(&decompiled.network, &[]) {
            bounded(&checked)?;
            return Ok(ViewModel::new(&checked, &name, Some(&front.sources)));
        }
    }
    let mut diags = Vec::new();
    let checked = check::check(imported.network(&network), &mut diags);
    let checked = checked.ok_or_else(|| wrong(&diags.first().map_or("the network is invalid", |diag| diag.message.as_str())))?;
    bounded(&checked)?;
    Ok(ViewModel::new(&checked, &name, None))
}

/// The network of an artifact with source lines, if the sources in it still compile to the same graph.
fn compiled_again(artifact: &artifact::Artifact) -> Option<(Checked, Frontend)> {
    let (_, root) = artifact.sources.files().next()?;
    let mut front = Frontend::open_in(Path::new(&root.name), Arc::new(StoredFiles::new(artifact))).ok()?;
    if front.has_errors() {
        return None;
    }
    let network = &artifact.checked.network.name;
    front.networks().iter().find(|n| n.name == *network && n.open.is_empty())?;
    let mut checked = front.check(network, &[])?;
    // these were read from files, which may have changed
    checked.network.preprocess.clone_from(&artifact.checked.network.preprocess);
    checked.network.labels.clone_from(&artifact.checked.network.labels);
    same(checked.graph(), artifact.checked.graph()).then_some((checked, front))
}

/// The files of an artifact: its sources, and in place of every other text the class names, in place of every array the mean.
#[derive(Debug)]
struct StoredFiles {
    sources: MemoryFiles,
    classes: String,
    mean: Option<Bytes>,
}

impl StoredFiles {
    fn new(artifact: &artifact::Artifact) -> StoredFiles {
        let mut sources = MemoryFiles::default();
        for (_, file) in artifact.sources.files() {
            sources.insert(&file.name, file.text.as_bytes());
        }
        StoredFiles { sources, classes: artifact.checked.network.labels.join("\n"), mean: pixel_mean(&artifact.checked) }
    }
}

impl FileSystem for StoredFiles {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        self.sources.read(path, limit).or_else(|_| Ok(self.classes.clone().into_bytes()))
    }

    fn map(&self, _: &Path) -> io::Result<Bytes> {
        self.mean.clone().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        self.sources.canonical(path)
    }
}

/// The mean of each pixel of the input as an .npy file; `None` where the mean is not one of pixels.
fn pixel_mean(checked: &Checked) -> Option<Bytes> {
    let input = checked.graph().inputs().first().copied()?;
    let sizes: Option<Vec<usize>> = checked.shape(input).dims()?.iter().map(|dim| dim.fixed()).collect();
    let mean = ArrayD::from_shape_vec(sizes?, checked.network.preprocess.as_ref()?.mean.clone()).ok()?;
    let mut bytes = Vec::new();
    npy::write_to(&mut bytes, &mean.view()).ok()?;
    Some(bytes.into())
}

/// Whether two graphs are equal but for where they come from.
fn same(a: &Graph, b: &Graph) -> bool {
    let (left, right) = (a.order(), b.order());
    let place = |order: &[crate::ir::NodeId], bound| {
        let mut place = vec![0; bound];
        for (i, id) in order.iter().enumerate() {
            place[id.index()] = i;
        }
        place
    };
    let (at_left, at_right) = (place(&left, a.bound()), place(&right, b.bound()));
    left.len() == right.len()
        && left.iter().zip(&right).all(|(&l, &r)| {
            let (x, y) = (a.operands(l), b.operands(r));
            let reads = x.len() == y.len()
                && x.iter().zip(&y).all(|(x, y)| at_left[x.node.index()] == at_right[y.node.index()] && x.port == y.port);
            a.node(l).name == b.node(r).name && a.node(l).op == b.node(r).op && reads
        })
}

fn bounded(checked: &Checked) -> Result<(), Failure> {
    let (name, nodes) = (&checked.network.name, checked.graph().len());
    if nodes > MAX_SHOWN {
        return Err(Failure::Input(format!("network `{name}` has {nodes} operators; a page can show at most {MAX_SHOWN}")));
    }
    Ok(())
}
