//! Arguments that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
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
    /// Colour the output; NO_COLOR in the environment turns it off
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Colour,
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
    pub max_pack: Option<u32>,
}

impl Planning {
    /// Settings with what was asked for.
    pub fn apply(&self, settings: &Settings) -> Settings {
        let precise = self.precise || settings.precise;
        Settings { precise, max_pack: self.max_pack.unwrap_or(settings.max_pack), ..settings.clone() }
    }
}

/// A factor, in hundredths.
fn parse_times(text: &str) -> Result<u32, String> {
    match text.parse::<f64>() {
        Ok(times) if (1.0..=1000.0).contains(&times) => Ok((times * 100.0).round() as u32),
        _ => Err("expected a number from 1 to 1000, for example 2 or 1.5".to_string()),
    }
}

fn parse_set(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_string(), value.trim().to_string()))
        }
        _ => Err("expected NAME=VALUE, for example classes=10".to_string()),
    }
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
