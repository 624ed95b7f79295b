//! `resnetc export torch`

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::args::Select;
use super::super::failure::{Done, Failure};
use super::super::open::{self, Place};
use super::super::output::{Out, save, writable};
use crate::driver::Weights;
use crate::formats::artifact;
use crate::ir::Checked;
use crate::torch;

/// Writes PyTorch source.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc export torch models/resnet.resnet --network resnet50 -o resnet50.py\n  \
                  resnetc export torch models/cifar.resnet --network resnet20 -o resnet20.py --train-script train.py")]
pub(super) struct Args {
    /// Source (.resnet), artifact (.rnx) written by `resnetc compile`, or run directory written by `resnetc train`; FILE:NETWORK
    /// selects one of several networks, and - reads a source from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    select: Select,
    /// File to write
    #[arg(short, long, value_name = "NET.py")]
    output: PathBuf,
    /// Also write a training script with the source's recipe, for `python` or `torchrun`, to the folder of NET.py
    #[arg(long, value_name = "TRAIN.py")]
    train_script: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let place = Place::of(&args.file, &args.select, None)?;
    let Place { file, select, .. } = &place;
    let (checked, read) = if artifact::is_artifact(file) {
        if select.network.is_some() || !select.set.is_empty() {
            return Err(Failure::Usage("an artifact contains its network: --network and --set only apply to sources".into()));
        }
        if args.train_script.is_some() {
            return Err(Failure::Usage("an artifact contains no recipe: --train-script needs the source".into()));
        }
        (artifact::read(file).map_err(Failure::input)?.checked, vec![file.clone()])
    } else {
        let mut front = open::source(file)?;
        let checked = place.check(&mut front, out)?;
        let read = front.files(&checked, &Weights::Named);
        (checked, read)
    };
    if !checked.network.precision.is_f32() {
        out.note(format_args!("note: the network is exported in f32; its precisions are not"));
    }
    let source = torch::write(&checked, None).map_err(Failure::input)?;
    // everything is generated before anything is written
    let script = match &args.train_script {
        Some(path) => Some((path, script(path, args, &checked, &source)?)),
        None => None,
    };
    let mean = match (&script, torch::mean_file(&checked)) {
        (Some((path, _)), Some(from)) => {
            let bytes = std::fs::read(from).map_err(|e| Failure::Input(format!("cannot read `{}`: {e}", from.display())))?;
            Some((path.with_extension(torch::MEAN_EXTENSION), bytes))
        }
        _ => None,
    };
    let written = [Some(&args.output), script.as_ref().map(|(path, _)| *path), mean.as_ref().map(|(path, _)| path)];
    writable(written.into_iter().flatten().map(PathBuf::as_path), &read)?;
    save(&args.output, source.text.as_bytes())?;
    let name = &checked.network.name;
    out.line(format_args!("wrote {}: network {name} as class {}", args.output.display(), source.class))?;
    if let Some((path, text)) = script {
        save(path, text.as_bytes())?;
        out.line(format_args!("wrote {}: training script of {name}", path.display()))?;
    }
    if let Some((path, bytes)) = mean {
        save(&path, &bytes)?;
        out.line(format_args!("wrote {}: the mean image that the script subtracts", path.display()))?;
    }
    Ok(())
}

/// The training script, which imports the network's file as a module.
fn script(path: &Path, args: &Args, checked: &Checked, source: &torch::Source) -> Result<String, Failure> {
    let text = |part: Option<&OsStr>| part.map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let (module, file) = (text(args.output.file_stem()), text(path.file_name()));
    let is_module =
        module.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !module.starts_with(|c: char| c.is_ascii_digit());
    if !is_module || args.output.extension() != Some(OsStr::new("py")) {
        return Err(Failure::Usage(format!(
            "the script cannot import `{}`: a Python module's file name consists of letters, digits and `_`, and ends in .py",
            args.output.display()
        )));
    }
    if args.output.parent() != path.parent() || args.output == path {
        return Err(Failure::Usage("the script imports the network: give both files different names in the same folder".into()));
    }
    let script = torch::Script { file: &file, module: &module, class: &source.class };
    torch::script(checked, &script).map_err(Failure::input)
}
