//! The stations as one way: from a file to a checked network, and to a model with its weights.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::render;
use crate::base::source::{SourceFile, SourceMap};
use crate::check;
use crate::elaborate::{NetworkInfo, Program, ReadError, nearest};
use crate::formats::{WeightsError, npy, weights};
use crate::ir::{Channels, Checked};
use crate::runtime::{Model, ParamError, ParamStore, RunError, init};

/// A program that was read, with all that was said about it so far.
#[derive(Debug)]
pub struct Frontend {
    /// The files, for rendering diagnostics.
    pub sources: SourceMap,
    /// Errors and warnings, in the order in which they were found.
    pub diagnostics: Vec<Diagnostic>,
    program: Program,
    /// The file's name without its ending: which of several networks is meant where none is named.
    stem: String,
    /// Whether it is that of [`Frontend::kept`].
    kept: bool,
}

/// Why no network of a file is the one to use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectError {
    /// The file defines none.
    #[error("{file} defines no network")]
    None {
        /// The file.
        file: String,
    },
    /// It defines none of that name.
    #[error("{file} has no network `{name}`; {hint}")]
    Unknown {
        /// The file.
        file: String,
        /// As asked for.
        name: String,
        /// Near names, or all.
        hint: String,
    },
    /// Several, and none was named.
    #[error("{file} holds several networks; name one with --network: {list}")]
    Several {
        /// The file.
        file: String,
        /// Their names.
        list: String,
    },
}

impl Frontend {
    /// Reads a file and what it uses. What is wrong with the text stands in [`Frontend::diagnostics`].
    pub fn open(path: &Path) -> Result<Frontend, ReadError> {
        let (mut sources, mut diagnostics) = (SourceMap::default(), Vec::new());
        let program = Program::load(path, &mut sources, &mut diagnostics)?;
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Frontend::with(program, sources, diagnostics, stem))
    }

    /// Reads a text. Relative paths in it are relative to the working directory.
    pub fn text(name: &str, text: &str) -> Frontend {
        Frontend::source(SourceFile { name: name.to_string(), path: None, text: text.into() })
    }

    /// Reads a source with the path that relative names in it are relative to.
    pub fn source(file: SourceFile) -> Frontend {
        let (mut sources, mut diagnostics) = (SourceMap::default(), Vec::new());
        let stem = Path::new(&file.name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let program = Program::from_source(file, &mut sources, &mut diagnostics);
        Frontend::with(program, sources, diagnostics, stem)
    }

    /// Reads the texts of a program that was read before, as an artifact keeps them; `None` where there is none. No file is read: names of
    /// classes and means of pixels that stand in files are left out.
    pub fn kept(files: &[SourceFile]) -> Option<Frontend> {
        let (mut sources, mut diagnostics) = (SourceMap::default(), Vec::new());
        let stem = Path::new(&files.first()?.name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let program = Program::from_kept(files, &mut sources, &mut diagnostics)?;
        Some(Frontend { kept: true, ..Frontend::with(program, sources, diagnostics, stem) })
    }

    fn with(program: Program, sources: SourceMap, mut diagnostics: Vec<Diagnostic>, stem: String) -> Frontend {
        program.lint(&mut diagnostics);
        Frontend { sources, diagnostics, program, stem, kept: false }
    }

    /// The networks that the file defines.
    pub fn networks(&self) -> Vec<NetworkInfo> {
        self.program.networks()
    }

    /// Whether an error was found so far.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Files besides the sources that networks need to be checked and trained: names of classes, means of pixels.
    pub fn named_files(&self) -> Vec<PathBuf> {
        self.program.named_files()
    }

    /// All files that a network of this program comes from: sources, names of classes, means of pixels, weights.
    pub fn files(&self, checked: &Checked, weights: &Weights) -> Vec<PathBuf> {
        let sources = self.sources.files().filter_map(|(_, file)| file.path.clone());
        let weights = weights_file(checked, weights).map(Path::to_path_buf);
        sources.chain(self.named_files()).chain(weights).collect()
    }

    /// The network that is meant: the one named; else the only one, or the only one without open parameters; else, of
    /// those without, the one that is called as the file is.
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

    /// Elaborates and checks a network. `None` where an error was found, in this or before.
    pub fn check(&mut self, network: &str, set: &[(String, String)]) -> Option<Checked> {
        let elaborated = self.program.elaborate(network, set, &mut self.sources, &mut self.diagnostics);
        let mut checked = check::check(elaborated?, &mut self.diagnostics);
        if let Some(checked) = checked.as_mut().filter(|_| !self.kept) {
            self.diagnostics.extend(mean_picture(checked));
        }
        // one mistake in a shared block is found again through every network that uses it
        let mut seen = std::collections::HashSet::new();
        self.diagnostics.retain(|d| seen.insert((d.code, d.span(), d.message.clone())));
        if self.has_errors() { None } else { checked }
    }
}

/// Reads the mean of each value of the input, where `preprocess` names a file; yields what is wrong with it.
fn mean_picture(checked: &mut Checked) -> Option<Diagnostic> {
    let input = checked.graph().inputs().first().map(|&input| checked.shape(input).clone());
    let how = checked.network.preprocess.as_mut()?;
    let (path, span) = how.mean_from.clone()?;
    let sizes: Option<Vec<usize>> = input.as_ref()?.dims()?.iter().map(|dim| dim.fixed()).collect();
    let file = path.display();
    let wrong = |code, message: String| Some(Diagnostic::error(code, message, span, "named here"));
    let Some(sizes) = sizes.filter(|_| how.channels != Channels::Bgr) else {
        let rule = "a mean for each pixel goes with an input of fixed height and width, and with `rgb` or `gray`";
        return wrong(codes::BAD_VALUE, rule.to_owned());
    };
    let tensor = match npy::read_tensor(&path) {
        Ok(tensor) => tensor,
        Err(error) => return wrong(codes::NO_SUCH_FILE, error.to_string()),
    };
    if tensor.shape() != sizes || !tensor.dtype().is_float() {
        let (found, dtype) = (tensor.shape(), tensor.dtype());
        let message =
            format!("`{file}` holds {dtype} of sizes {found:?}, and the mean of this input is floating point of {sizes:?}");
        return wrong(codes::BAD_VALUE, message);
    }
    let values = tensor.to_f32();
    if !values.iter().all(|v| (0.0..=1.0).contains(v)) {
        return wrong(
            codes::BAD_VALUE,
            format!("`{file}` holds values beyond 0 and 1: the mean is that of bytes divided by 255"),
        );
    }
    how.mean = values.into_owned();
    None
}

/// Where [`compile`] takes parameters from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// The file that the source names (`weights "…"`).
    #[default]
    Named,
    /// A safetensors or PyTorch file.
    File(PathBuf),
    /// He initialization with a seed: see [`crate::runtime::init`].
    Init(u64),
}

/// The file that parameters come from; `None` where they are drawn, or none is named.
fn weights_file<'a>(checked: &'a Checked, from: &'a Weights) -> Option<&'a Path> {
    match (from, &checked.network.weights) {
        (Weights::Init(_), _) | (Weights::Named, None) => None,
        (Weights::File(path), _) | (Weights::Named, Some((path, _))) => Some(path),
    }
}

/// What [`compile`] is asked for.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// Which network, where the file holds several: see [`Frontend::select`].
    pub network: Option<String>,
    /// Values of parameters left open, as expressions of the language: `("classes", "10")`.
    pub set: Vec<(String, String)>,
    /// Where the parameters come from.
    pub weights: Weights,
}

/// Why [`compile`] gave no model.
#[derive(Debug, Error)]
pub enum CompileError {
    /// The source file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No network of the file is the one to use.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The source, or a checkpoint that does not fit it, rendered with the source lines; and the diagnostics themselves.
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
    /// The source names no weights, and none were given.
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

/// Compiles a network of a source file to a model.
///
/// ```
/// use ndarray::ArrayD;
/// use resnetc::{CompileOptions, Weights, compile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = CompileOptions { network: Some("resnet20".into()), weights: Weights::Init(1), ..CompileOptions::default() };
/// let model = compile("models/cifar.resnet", &options)?;
///
/// // a batch of two images: [batch, channels, height, width]
/// let images = ArrayD::<f32>::zeros(vec![2, 3, 32, 32]);
/// let mut session = model.session()?;
/// let outputs = session.run(&[("input", images.view())])?;
/// assert_eq!(outputs.main().shape(), [2, 10]);
/// # Ok(())
/// # }
/// ```
pub fn compile(path: impl AsRef<Path>, options: &CompileOptions) -> Result<Model, CompileError> {
    Frontend::open(path.as_ref())?.model(options)
}

impl Frontend {
    /// The model of one of the networks, with its weights.
    pub fn model(&mut self, options: &CompileOptions) -> Result<Model, CompileError> {
        let network = self.select(options.network.as_deref())?;
        let Some(checked) = self.check(&network, &options.set) else {
            return Err(self.refused(self.diagnostics.clone()));
        };
        let params = self.params(&checked, &options.weights)?;
        Ok(Model::new(checked, params)?)
    }

    /// The parameters of a checked network.
    pub fn params(&self, checked: &Checked, from: &Weights) -> Result<ParamStore, CompileError> {
        if let Weights::Init(seed) = from {
            return Ok(init::init(checked, *seed)?);
        }
        let Some(path) = weights_file(checked, from) else {
            return Err(CompileError::NoWeights { network: checked.network.name.clone() });
        };
        let tensors = weights::open(path)?;
        weights::bind(checked, &tensors).map_err(|report| self.refused(report.diagnostics))
    }

    fn refused(&self, diagnostics: Vec<Diagnostic>) -> CompileError {
        CompileError::Source { rendered: render::terminal(&diagnostics, &self.sources, false), diagnostics }
    }
}
