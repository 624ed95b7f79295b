//! `resnetc bench`

use ndarray::Ix4;
use serde_json::json;

use super::args::Format;
use super::failure::{Done, Failure};
use super::measure::{self, MeasureArgs, Series};
use super::open;
use super::output::Out;
use crate::driver::Weights;
use crate::ir::Recipe;
use crate::kernels::Isa;
use crate::train::{self, Batch, Engine, Optimizer};

/// Measures a network on random input.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc bench models/resnet.resnet --network resnet50 --batch 1 --threads 2\n  \
                  resnetc bench net.rnx --batch 8 --format json\n  \
                  resnetc bench models/cifar.resnet --network resnet20 --train --batch 128\n\nWeights are random unless --weights or the file names some.\n\
                  RESNETC_ISA=portable|avx2|avx512|neon selects an instruction set.")]
pub(super) struct Args {
    #[command(flatten)]
    measure: MeasureArgs,
    /// Measure a training step: forward, backward and optimizer
    #[arg(long, conflicts_with_all = ["tune", "precise", "max_packed_weights"])]
    train: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What was measured.
struct Measured<'a> {
    network: &'a str,
    isa: Isa,
    threads: usize,
    times: Series,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    if args.train {
        return train(args, out);
    }
    let model = args.measure.open(out)?;
    let mut session = args.measure.model.session(&model)?;
    let batch = args.measure.batch;
    let inputs = measure::inputs(&model, batch)?;
    let views: Vec<_> = inputs.iter().map(|(name, x)| (name.as_str(), x.view())).collect();
    let times = args.measure.rounds(|_| session.run(&views).map(drop).map_err(Failure::input))?;
    args.measure.model.note_packs(&session, out);
    report(args, &Measured { network: &model.network().name, isa: session.isa(), threads: session.threads(), times }, out)
}

/// Measures training steps on random input, without reading data.
fn train(args: &Args, out: &mut Out) -> Done {
    let from = args.measure.model.resolved()?;
    if from.precision.precision.is_some() {
        return Err(Failure::Usage("training computes in f32: leave --precision out".into()));
    }
    let (front, checked) = super::train::checked(&from.file, &from.select, out)?;
    let recipe = Recipe { batch: args.measure.batch as usize, ..checked.network.recipe.clone().unwrap_or_default() };
    let params = match &from.weights {
        Some(weights @ Weights::File(_)) => open::bind(&checked, &front, Some(weights), out)?,
        _ => train::init::initial_params(&checked, &recipe, None).map_err(Failure::input)?.params,
    };
    let threads = from.session_options().threads;
    let mut engine = train::engine(&checked, &params, &recipe, threads).map_err(Failure::input)?;
    let [input] = checked.graph().inputs() else {
        return Err(Failure::Input("a network with several inputs cannot be trained".into()));
    };
    let (_, images) = measure::noise(&checked, *input, recipe.batch)?;
    let images = images.into_dimensionality::<Ix4>().map_err(|_| Failure::Input("training needs images as input".into()))?;
    let classes = train::classes(&checked).unwrap_or(1).max(1);
    let labels: Vec<u32> = (0..recipe.batch).map(|i| (i % classes) as u32).collect();
    let batch = Batch { images: images.view(), labels: &labels };
    let mut optimizer = Optimizer::new(recipe.optimizer, threads, engine.parameters()).map_err(Failure::input)?;
    let mut step = 0;
    let times = args.measure.rounds(|_| {
        engine.clear();
        engine.gradients(&batch, 1.0, step).map_err(Failure::input)?;
        step += 1;
        // a learning rate so small that the network does not fit the random input
        optimizer.step(engine.parameters(), 1e-6);
        Ok(())
    })?;
    let isa = Isa::chosen().map_err(Failure::input)?;
    report(args, &Measured { network: &checked.network.name, isa, threads, times }, out)
}

fn report(args: &Args, measured: &Measured<'_>, out: &mut Out) -> Done {
    let Measured { network: name, isa, threads, times } = measured;
    let batch = args.measure.batch;
    let (median, min, mean, deviation) = (times.median(), times.min(), times.mean(), times.deviation());
    let rate = f64::from(batch) / median * 1e3;
    let memory = measure::peak_rss_mb();
    let (runs, what) = (times.runs(), if args.train { "training" } else { "inference" });
    match args.format {
        Format::Text => {
            out.line(format_args!("{name}, batch {batch}, {threads} threads, {isa}, {what}, {runs} runs"))?;
            out.line(format_args!("median   {median:.3} ms"))?;
            out.line(format_args!("min      {min:.3} ms"))?;
            out.line(format_args!("mean     {mean:.3} ms, deviation {deviation:.3} ms"))?;
            out.line(format_args!("images/s {rate:.1}"))?;
            match memory {
                Some(mb) => out.line(format_args!("peak RSS {mb} MB")),
                None => Ok(()),
            }
        }
        Format::Json => out.line(json!({
            "network": name,
            "mode": what,
            "batch": batch,
            "threads": threads,
            "isa": isa,
            "runs": runs,
            "median_ms": median,
            "min_ms": min,
            "mean_ms": mean,
            "deviation_ms": deviation,
            "images_per_s": rate,
            "peak_rss_mb": memory,
        })),
    }
}
