//! Arguments that several commands share.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::output::Failure;
use crate::driver::Weights;
use crate::plan::Settings;

/// How a command answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// What becomes of images that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OnError {
    /// They are named, counted and left out.
    #[default]
    Skip,
    /// The first one ends the run.
    Fatal,
}

/// Whether to color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(super) struct Global {
    /// Color the output; NO_COLOR in the environment turns it off
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// Which network of a file, and its parameters.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Select {
    /// Which network, where the file holds several
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Give a parameter of the network a value; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_set)]
    pub set: Vec<(String, String)>,
}

/// What the planner is asked for.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Planning {
    /// Do without Winograd convolutions, whose rounding is somewhat coarser
    #[arg(long)]
    pub precise: bool,
    /// How large packed weights may become, times the raw ones [default: 4]
    #[arg(long, value_name = "TIMES", value_parser = parse_times)]
    pub max_packed_weights: Option<u32>,
}

impl Planning {
    /// Settings with what was asked for.
    pub fn apply(&self, settings: &Settings) -> Settings {
        let precise = self.precise || settings.precise;
        Settings {
            precise,
            max_packed_weights: self.max_packed_weights.unwrap_or(settings.max_packed_weights),
            ..settings.clone()
        }
    }
}

/// A factor, in hundredths.
fn parse_times(text: &str) -> Result<u32, String> {
    match text.parse::<f64>() {
        Ok(times) if (1.0..=1000.0).contains(&times) => Ok((times * 100.0).round() as u32),
        _ => Err("expected a number from 1 to 1000, for example 2 or 1.5".to_string()),
    }
}

/// FILE[:NETWORK]. A file that is called so as a whole is meant before a network behind a colon.
pub(super) fn parse_named(text: &str) -> (PathBuf, Option<String>) {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    match text.rsplit_once(':') {
        Some((file, network)) if !file.is_empty() && is_name(network) && !Path::new(text).exists() => {
            (PathBuf::from(file), Some(network.to_string()))
        }
        _ => (PathBuf::from(text), None),
    }
}

/// A file and which of its networks, where that may stand behind a colon as if it were given with `--network`.
pub(super) fn split(file: &Path, select: &Select) -> Result<(PathBuf, Select), Failure> {
    match (parse_named(&file.to_string_lossy()), &select.network) {
        ((_, None), _) => Ok((file.to_path_buf(), select.clone())),
        ((_, Some(one)), Some(other)) => {
            Err(Failure::Usage(format!("both `{one}`, behind the file's name, and --network {other} name the network")))
        }
        ((file, network), None) => Ok((file, Select { network, ..select.clone() })),
    }
}

/// The files that name a dataset: itself, or each of a pair of arrays.
pub(super) fn data_files(spec: &str) -> Vec<PathBuf> {
    std::iter::once(spec).chain(spec.split(',').map(str::trim)).map(PathBuf::from).collect()
}

/// A network with its weights: FILE[:NETWORK][=WEIGHTS].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// A source or an artifact.
    pub file: PathBuf,
    /// Which network, where the file holds several.
    pub network: Option<String>,
    /// Where they are not those that the file names.
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
            Err(_) => Err("expected init:SEED with a whole number".to_string()),
        },
        _ => Ok(Weights::File(PathBuf::from(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_may_stand_behind_its_file() {
        let named = |text: &str| {
            let (file, network) = parse_named(text);
            (file.display().to_string(), network)
        };
        assert_eq!(named("a.resnet"), ("a.resnet".into(), None));
        assert_eq!(named("b/a.resnet:resnet18_v1"), ("b/a.resnet".into(), Some("resnet18_v1".into())));
        // a drive's letter, and nothing behind the colon
        assert_eq!(named("C:\\nets\\a.resnet"), ("C:\\nets\\a.resnet".into(), None));
        assert_eq!(named("a.resnet:"), ("a.resnet:".into(), None));
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a:b");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(parse_named(odd.to_str().unwrap()), (odd, None));
    }

    #[test]
    fn weights_may_stand_behind_a_network() {
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
