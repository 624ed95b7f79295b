//! `resnetc view`: an HTML page that shows a network.

mod args;
mod load;
mod watch;

use std::path::PathBuf;

use super::args::{Planning, PrecisionArgs};
use super::failure::{Done, Failure};
use super::measure::MeasureArgs;
use super::open::{Expectations, ModelArgs, Place};
use super::output::{Out, save, writable};
use super::profile;
use crate::driver::Weights;
use crate::view::{Content, Live, ViewModel, page};
pub(super) use args::Args;
use load::Loaded;

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let Place { file, select, weights, .. } = Place::of(&args.file, &args.select, args.weights.as_ref())?;
    let args = &Args { file, select, weights, ..args.clone() };
    if args.watch {
        return watch::run(args, out);
    }
    if args.profile && load::kind(&args.file, &args.select)? == load::Kind::Onnx {
        return Err(Failure::Usage(
            "--profile needs a source or an artifact: convert the ONNX file to a source with `resnetc import`".into(),
        ));
    }
    let Loaded { mut model, files: mut read, expectations } = load::model(&args.file, &args.select, out)?;
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.html", model.name)));
    if let Some(Weights::File(weights)) = &args.weights {
        read.push(weights.clone());
    }
    writable([&*path], &read)?;
    if args.profile {
        model = with_profile(model, args, out)?;
    }
    let (name, operators) = (model.name.clone(), model.nodes.len());
    let html = page(&Content::Network(Box::new(model)), Live::No).map_err(Failure::input)?;
    save(&path, html.as_bytes())?;
    out.line(format_args!("wrote {}: network {name}, {operators} operators, {} kB", path.display(), html.len().div_ceil(1000)))?;
    match expectations {
        Expectations::Met => Ok(()),
        Expectations::Failed => Err(Failure::Said),
    }
}

/// Measures a run as `resnetc profile` does.
fn with_profile(model: ViewModel, args: &Args, out: &mut Out) -> Result<ViewModel, Failure> {
    let from = ModelArgs {
        file: args.file.clone(),
        select: args.select.clone(),
        weights: args.weights.clone(),
        renames: args.renames.clone(),
        threads: args.threads,
        precision: PrecisionArgs::default(),
        planning: Planning::default(),
        run: None,
    };
    let how = MeasureArgs { model: from, batch: args.batch.unwrap_or(1), runs: args.runs, tune: false };
    let report = profile::measure(&how, out)?;
    Ok(model.with_profile(report.conditions(), report.median_ms(), report.steps()))
}
