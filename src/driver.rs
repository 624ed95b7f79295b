//! The whole pipeline: from a file to a checked network, and to a model with weights.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::file_system::{Disk, FileSystem};
use crate::base::render;
use crate::base::source::{SourceFile, SourceMap};
use crate::check;
use crate::elaborate::{NetworkInfo, Program, ReadError, nearest};
use crate::formats::rename::Rename;
use crate::formats::weights::{self, Bound};
use crate::formats::{Tensors, WeightsError, npy};
use crate::ir::{Channels, Checked};
use crate::runtime::{Model, ParamError, ParamStore, RunError, init};

/// A loaded program, with all diagnostics so far.
#[derive(Debug)]
pub struct Frontend {
    /// The files, for rendering diagnostics.
    pub sources: SourceMap,
    /// Errors and warnings, in the order found.
    pub diagnostics: Vec<Diagnostic>,
    /// Other names for the tensors of weight files.
    pub renames: Vec<Rename>,
    program: Program,
    /// The file name without its extension: selects among several networks if none is named.
    stem: String,
}

/// Why no network could be selected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectError {
    /// The file defines none.
    #[error("{file} defines no network")]
    None {
        /// The file.
        file: String,
    },
    /// It has no network of that name.
    #[error("{file} has no network `{name}`; {hint}")]
    Unknown {
        /// The file.
        file: String,
        /// The requested name.
        name: String,
        /// A similar name, or all names.
        hint: String,
    },
    /// It has several, and none was named.
    #[error("{file} holds several networks; name one with --network: {list}")]
    Several {
        /// The file.
        file: String,
        /// Their names.
        list: String,
    },
}

impl Frontend {
    /// Loads a file and the files that it uses. Errors in the text are in [`Frontend::diagnostics`].
    pub fn open(path: &Path) -> Result<Frontend, ReadError> {
        Frontend::open_in(path, Arc::new(Disk))
    }

    /// The same from another file system than the disk.
    pub fn open_in(path: &Path, files: Arc<dyn FileSystem>) -> Result<Frontend, ReadError> {
        let (mut sources, mut diagnostics) = (SourceMap::default(), Vec::new());
        let program = Program::load(path, files, &mut sources, &mut diagnostics)?;
        Ok(Frontend::with(program, sources, diagnostics, path))
    }

    /// Loads a text. Relative paths in it are resolved against the working directory.
    pub fn text(name: &str, text: &str) -> Frontend {
        Frontend::source(SourceFile { name: name.to_string(), path: None, text: text.into() })
    }

    /// Loads a source with its path, against which relative paths in it are resolved.
    pub fn source(file: SourceFile) -> Frontend {
        let (mut sources, mut diagnostics) = (SourceMap::default(), Vec::new());
        let name = PathBuf::from(&file.name);
        let program = Program::from_source(file, Arc::new(Disk), &mut sources, &mut diagnostics);
        Frontend::with(program, sources, diagnostics, &name)
    }

    fn with(program: Program, sources: SourceMap, mut diagnostics: Vec<Diagnostic>, name: &Path) -> Frontend {
        program.lint(&mut diagnostics);
        let stem = name.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let mut front = Frontend { sources, diagnostics, renames: Vec::new(), program, stem };
        front.without_noise();
        front
    }

    /// The networks that the file defines.
    pub fn networks(&self) -> Vec<NetworkInfo> {
        self.program.networks()
    }

    /// Whether there are errors so far.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Files other than sources that are needed to check and train networks: class labels, per-pixel means.
    pub fn named_files(&self) -> Vec<PathBuf> {
        self.program.named_files()
    }

    /// All files that a network of this program depends on: sources, class labels, per-pixel means, weights.
    pub fn files(&self, checked: &Checked, weights: &Weights) -> Vec<PathBuf> {
        let sources = self.sources.files().filter_map(|(_, file)| file.path.clone());
        let weights = weights_file(checked, weights).map(weights::file);
        sources.chain(self.named_files()).chain(weights).collect()
    }

    /// Selects a network: the named one; otherwise the only one, or the only one without open parameters; otherwise, of those
    /// without open parameters, the one named like the file.
    pub fn select(&self, name: Option<&str>) -> Result<String, SelectError> {
        let all = self.networks();
        let file = self.sources.files().next().map(|(_, f)| f.name.clone()).unwrap_or_default();
        let closed: Vec<&NetworkInfo> = all.iter().filter(|n| n.open.is_empty()).collect();
        let list =
            |networks: &mut dyn Iterator<Item = &NetworkInfo>| networks.map(|n| n.name.as_str()).collect::<Vec<_>>().join(", ");
        match (name, &all[..], &closed[..]) {
            (_, [], _) => Err(SelectError::None { file }),
            (Some(name), ..) if all.iter().any(|n| n.name == name) => Ok(name.to_string()),
            (Some(name), ..) => {
                let hint = match nearest(name, all.iter().map(|n| n.name.as_str())) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {}", list(&mut all.iter())),
                };
                Err(SelectError::Unknown { file, name: name.to_string(), hint })
            }
            (None, [only], _) => Ok(only.name.clone()),
            (None, _, [only]) => Ok(only.name.clone()),
            (None, ..) if closed.iter().any(|n| n.name == self.stem) => Ok(self.stem.clone()),
            (None, ..) => Err(SelectError::Several { file, list: list(&mut all.iter()) }),
        }
    }

    /// Drops warnings about unused names if there are errors, since an error may hide the use.
    fn without_noise(&mut self) {
        const UNUSED: [Code; 3] = [codes::UNUSED_IMPORT, codes::UNUSED_PARAMETER, codes::UNUSED_LET];
        if self.has_errors() {
            self.diagnostics.retain(|d| !UNUSED.contains(&d.code));
        }
    }

    /// Elaborates and checks a network. `None` if there are errors, from this or before.
    pub fn check(&mut self, network: &str, set: &[(String, String)]) -> Option<Checked> {
        let checked = self.inspect(network, set);
        if self.has_errors() { None } else { checked }
    }

    /// The same for a network that is only looked at: one that breaks its expectations is returned too.
    pub fn inspect(&mut self, network: &str, set: &[(String, String)]) -> Option<Checked> {
        let elaborated = self.program.elaborate(network, set, &mut self.sources, &mut self.diagnostics);
        let mut checked = elaborated.and_then(|elaborated| check::inspect(elaborated, &mut self.diagnostics));
        if let Some(checked) = &mut checked {
            self.diagnostics.extend(load_pixel_mean(checked, self.program.files()));
        }
        // a mistake in a shared block or a setting is found again in every network that uses it
        let mut seen = std::collections::HashSet::new();
        self.diagnostics.retain(|d| seen.insert((d.code, d.span(), d.message.clone())));
        self.without_noise();
        let is_of_expectations = |diag: &Diagnostic| !diag.is_error() || diag.code.0.starts_with(EXPECTATIONS);
        checked.filter(|_| self.diagnostics.iter().all(is_of_expectations))
    }
}

/// What the codes of failed expectations begin with.
const EXPECTATIONS: &str = "E04";

/// Reads the per-pixel mean of the input if `preprocess` names a file. Returns an error diagnostic if it is unusable.
fn load_pixel_mean(checked: &mut Checked, files: &dyn FileSystem) -> Option<Diagnostic> {
    let input = checked.graph().inputs().first().map(|&input| checked.shape(input).clone());
    let how = checked.network.preprocess.as_mut()?;
    let (path, span) = how.mean_from.clone()?;
    let sizes: Option<Vec<usize>> = input.as_ref()?.dims()?.iter().map(|dim| dim.fixed()).collect();
    let file = path.display();
    let wrong = |code, message: String| Some(Diagnostic::error(code, message, span, "named here"));
    let Some(sizes) = sizes.filter(|_| how.channels != Channels::Bgr) else {
        let rule = "a per-pixel mean requires an input of fixed height and width, with `rgb` or `gray` channels";
        return wrong(codes::BAD_VALUE, rule.to_owned());
    };
    let tensor = match npy::read_tensor_in(files, &path) {
        Ok(tensor) => tensor,
        Err(error) => return wrong(codes::NO_SUCH_FILE, error.to_string()),
    };
    if tensor.shape() != sizes || !tensor.dtype().is_float() {
        let (found, dtype) = (tensor.shape(), tensor.dtype());
        let message = format!(
            "`{file}` holds {dtype} of shape {found:?}, but the mean of this input must be floating point of shape {sizes:?}"
        );
        return wrong(codes::BAD_VALUE, message);
    }
    let values = tensor.to_f32();
    if !values.iter().all(|v| (0.0..=1.0).contains(v)) {
        return wrong(
            codes::BAD_VALUE,
            format!("`{file}` holds values outside 0 to 1: the mean must be that of pixel values divided by 255"),
        );
    }
    how.mean = values.into_owned();
    None
}

/// Where [`Frontend::params`] gets parameters from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// The file named in the source (`weights "…"`).
    #[default]
    Named,
    /// A safetensors or PyTorch file.
    File(PathBuf),
    /// He initialization with a seed: see [`crate::runtime::init`].
    Init(u64),
}

/// The weight file; `None` if parameters are initialized randomly, or no file is named.
fn weights_file<'a>(checked: &'a Checked, from: &'a Weights) -> Option<&'a Path> {
    match (from, &checked.network.weights) {
        (Weights::Init(_), _) | (Weights::Named, None) => None,
        (Weights::File(path), _) | (Weights::Named, Some((path, _))) => Some(path),
    }
}

/// Options of [`Frontend::model`].
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// Which network, if the file has several: see [`Frontend::select`].
    pub network: Option<String>,
    /// Values for open parameters, as expressions of the language: `("classes", "10")`.
    pub set: Vec<(String, String)>,
    /// Where the parameters come from.
    pub weights: Weights,
}

/// Why a network was not compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// The source file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No network could be selected.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Errors in the source, or a checkpoint that does not match it: rendered with source lines, and as diagnostics.
    #[error("{rendered}")]
    Source {
        /// For people.
        rendered: String,
        /// For programs.
        diagnostics: Vec<Diagnostic>,
    },
    /// The weight file cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The source names no weight file, and none was given.
    #[error("network `{network}` names no weights, and none were given")]
    NoWeights {
        /// The network.
        network: String,
    },
    /// Initialization failed.
    #[error(transparent)]
    Init(#[from] RunError),
    /// A parameter is missing.
    #[error(transparent)]
    Param(#[from] ParamError),
}

impl Frontend {
    /// The model of a selected network, with its weights.
    pub fn model(&mut self, options: &CompileOptions) -> Result<Model, CompileError> {
        let (checked, params) = self.bound(options)?;
        Ok(Model::new(checked, params)?)
    }

    /// A selected network as written, and its parameters.
    pub fn bound(&mut self, options: &CompileOptions) -> Result<(Checked, ParamStore), CompileError> {
        let network = self.select(options.network.as_deref())?;
        let Some(checked) = self.check(&network, &options.set) else {
            return Err(self.refused(self.diagnostics.clone()));
        };
        let params = self.params(&checked, &options.weights)?;
        Ok((checked, params))
    }

    /// Loads or initializes the parameters of a checked network.
    pub fn params(&self, checked: &Checked, from: &Weights) -> Result<ParamStore, CompileError> {
        self.params_noting(checked, from).map(|bound| bound.params)
    }

    /// Like [`Frontend::params`], with the choices that were made in reading a file.
    pub fn params_noting(&self, checked: &Checked, from: &Weights) -> Result<Bound, CompileError> {
        if let Weights::Init(seed) = from {
            return Ok(Bound { params: init::init(checked, *seed)?, notes: Vec::new() });
        }
        let Some(path) = weights_file(checked, from) else {
            return Err(CompileError::NoWeights { network: checked.network.name.clone() });
        };
        let tensors = self.tensors(path)?;
        weights::bind_noting(checked, &tensors).map_err(|report| self.refused(report.diagnostics))
    }

    /// The tensors of a weight file, renamed.
    pub fn tensors(&self, path: &Path) -> Result<Tensors, WeightsError> {
        weights::open(path)?.renamed(&self.renames)
    }

    fn refused(&self, diagnostics: Vec<Diagnostic>) -> CompileError {
        CompileError::Source { rendered: render::terminal(&diagnostics, &self.sources, false), diagnostics }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayD;

    use super::*;
    use crate::base::file_system::MemoryFiles;

    #[test]
    fn the_mean_of_each_pixel_is_read_beside_the_source() {
        let text =
            "resnet 1\nnetwork net {\n  input 1 x 2 x 2\n  preprocess { channels: gray, mean: \"mean.npy\" }\n  linear 2\n}\n";
        let mut files = MemoryFiles::default();
        files.insert("nets/net.resnet", text);
        let check = |files: &MemoryFiles| {
            let mut front = Frontend::open_in(Path::new("nets/net.resnet"), Arc::new(files.clone())).unwrap();
            front.check("net", &[]).ok_or_else(|| front.diagnostics[0].message.clone())
        };
        assert_eq!(check(&files).unwrap_err(), "cannot read `nets/mean.npy`: no such file");
        let mut array = Vec::new();
        npy::write_to(&mut array, &ArrayD::from_elem(vec![1, 2, 2], 0.25).view()).unwrap();
        files.insert("nets/mean.npy", array);
        assert_eq!(check(&files).unwrap().network.preprocess.as_ref().unwrap().mean, [0.25; 4]);
    }
}
