//! Arguments that several commands share.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::failure::Failure;
use crate::driver::Weights;
use crate::formats::rename::Rename;
use crate::ir::{Checked, Precision, Precisions};
use crate::plan::Settings;

/// The format of a command's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Readable text
    #[default]
    Text,
    /// JSON, one object per line
    Json,
}

/// What to do with images that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OnError {
    /// Report, count and skip them
    #[default]
    Skip,
    /// Stop at the first one
    Fatal,
}

/// When to use color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(super) struct Global {
    /// When to color messages
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// Which network of a file, and its parameters.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Select {
    /// Network to use, if the file defines several
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Set a parameter of the network; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_set)]
    pub set: Vec<(String, String)>,
    /// Other names for the tensors of its weights.
    #[arg(skip)]
    pub rename: Vec<Rename>,
}

impl Select {
    /// The same, with other names for tensors.
    pub fn renaming(&self, renames: &Renames) -> Select {
        Select { rename: renames.rename.clone(), ..self.clone() }
    }
}

/// Other names for the tensors of a weight file.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Renames {
    /// Rename tensors of the weight file: OLD, and all that begin with `OLD.`; may be repeated
    #[arg(long, value_name = "OLD=NEW")]
    pub rename: Vec<Rename>,
}

/// Options for the planner.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Planning {
    /// Disable Winograd convolutions, which have slightly larger rounding errors
    #[arg(long)]
    pub precise: bool,
    /// Limit the size of packed weights to a multiple of the original size [default: 4]
    #[arg(long, value_name = "TIMES", value_parser = parse_times)]
    pub max_packed_weights: Option<u32>,
}

impl Planning {
    /// The settings, with these options applied.
    pub fn apply(&self, settings: &Settings) -> Settings {
        let precise = self.precise || settings.precise;
        Settings {
            precise,
            max_packed_weights: self.max_packed_weights.unwrap_or(settings.max_packed_weights),
            ..settings.clone()
        }
    }
}

/// The precision of layers.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct PrecisionArgs {
    /// Precision of all layers that the source does not name itself [default: that of the source, or f32]
    #[arg(long, value_name = "f32|bf16", value_parser = parse_precision)]
    pub precision: Option<Precision>,
}

impl PrecisionArgs {
    /// Applies the option to a network.
    pub fn apply(self, checked: &mut Checked) {
        if let Some(default) = self.precision {
            let precision = Precisions { default, ..checked.network.precision.clone() };
            checked.set_precision(precision);
        }
    }
}

fn parse_precision(text: &str) -> Result<Precision, String> {
    Precision::named(text).ok_or_else(|| "expected f32 or bf16".to_string())
}

/// A factor, in hundredths.
fn parse_times(text: &str) -> Result<u32, String> {
    match text.parse::<f64>() {
        Ok(times) if (1.0..=1000.0).contains(&times) => Ok((times * 100.0).round() as u32),
        _ => Err("expected a number from 1 to 1000, for example 2 or 1.5".to_string()),
    }
}

/// Parses FILE[:NETWORK]. If a file with the whole name exists, colon included, it takes precedence.
pub(super) fn parse_named(text: &str) -> (PathBuf, Option<String>) {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    match text.rsplit_once(':') {
        Some((file, network)) if !file.is_empty() && is_name(network) && !Path::new(text).exists() => {
            (PathBuf::from(file), Some(network.to_string()))
        }
        _ => (PathBuf::from(text), None),
    }
}

/// Splits FILE:NETWORK, which is equivalent to `FILE --network NETWORK`.
pub(super) fn split(file: &Path, select: &Select) -> Result<(PathBuf, Select), Failure> {
    match (parse_named(&file.to_string_lossy()), &select.network) {
        ((_, None), _) => Ok((file.to_path_buf(), select.clone())),
        ((_, Some(one)), Some(other)) => {
            Err(Failure::Usage(format!("two networks are given: `:{one}` after the file name, and --network {other}")))
        }
        ((file, network), None) => Ok((file, Select { network, ..select.clone() })),
    }
}

/// The files of a dataset argument: the path itself, or both paths of `X.npy,Y.npy`.
pub(super) fn data_files(spec: &str) -> Vec<PathBuf> {
    std::iter::once(spec).chain(spec.split(',').map(str::trim)).map(PathBuf::from).collect()
}

/// A network with its weights: FILE[:NETWORK][=WEIGHTS].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// A source or an artifact.
    pub file: PathBuf,
    /// Network to use, if the file defines several.
    pub network: Option<String>,
    /// Weights, if not those that the file names.
    pub weights: Option<Weights>,
}

pub(super) fn parse_named_weights(text: &str) -> Result<Named, String> {
    let (name, weights) = match text.split_once('=') {
        Some((name, weights)) if !Path::new(text).exists() => (name, Some(weights)),
        _ => (text, None),
    };
    if name.is_empty() || weights == Some("") {
        return Err("expected FILE[:NETWORK][=WEIGHTS], for example net.resnet:resnet32=resnet32.safetensors".to_string());
    }
    let (file, network) = parse_named(name);
    Ok(Named { file, network, weights: weights.map(parse_weights).transpose()? })
}

pub(super) fn parse_set(text: &str) -> Result<(String, String), String> {
    // without a value, the front end reports it as it reports a bad one
    match text.split_once('=').unwrap_or((text, "")) {
        (name, value) if !name.trim().is_empty() => Ok((name.trim().to_string(), value.trim().to_string())),
        _ => Err("expected NAME=VALUE, for example classes=10".to_string()),
    }
}

pub(super) fn parse_threads(text: &str) -> Result<NonZeroU16, String> {
    text.parse().map_err(|_| format!("expected a number of threads from 1 to {}", u16::MAX))
}

pub(super) fn parse_weights(text: &str) -> Result<Weights, String> {
    match text.strip_prefix("init") {
        Some("") => Ok(Weights::Init(0)),
        Some(rest) if rest.starts_with(':') => match rest[1..].parse() {
            Ok(seed) => Ok(Weights::Init(seed)),
            Err(_) => Err("expected init:SEED with a non-negative integer".to_string()),
        },
        _ => Ok(Weights::File(PathBuf::from(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_may_follow_its_file() {
        let named = |text: &str| {
            let (file, network) = parse_named(text);
            (file.display().to_string(), network)
        };
        assert_eq!(named("a.resnet"), ("a.resnet".into(), None));
        assert_eq!(named("b/a.resnet:resnet18_v1"), ("b/a.resnet".into(), Some("resnet18_v1".into())));
        // a drive letter, and nothing after the colon
        assert_eq!(named("C:\\nets\\a.resnet"), ("C:\\nets\\a.resnet".into(), None));
        assert_eq!(named("a.resnet:"), ("a.resnet:".into(), None));
        let dir = tempfile::tempdir().unwrap();
        let with_colon = dir.path().join("a:b");
        std::fs::write(&with_colon, "").unwrap();
        assert_eq!(parse_named(with_colon.to_str().unwrap()), (with_colon, None));
    }

    #[test]
    fn weights_may_follow_a_network() {
        let named = |text: &str| parse_named_weights(text).unwrap();
        let file = |path: &str| Some(Weights::File(path.into()));
        let of =
            |file: &str, network: Option<&str>, weights| Named { file: file.into(), network: network.map(Into::into), weights };
        assert_eq!(named("a.rnx"), of("a.rnx", None, None));
        assert_eq!(named("a.resnet:b=c=d.pth"), of("a.resnet", Some("b"), file("c=d.pth")));
        assert_eq!(named("a.resnet=init:3"), of("a.resnet", None, Some(Weights::Init(3))));
        assert!(parse_named_weights("=c.pth").is_err() && parse_named_weights("a.resnet=").is_err());
    }
}
