//! `resnetc summary`

use std::path::Path;

use serde::Serialize;

use super::args::{Format, PrecisionArgs, Select, parse_set};
use super::failure::{Done, Failure};
use super::open::Place;
use super::output::Out;
use super::table::table;
use crate::driver::Frontend;
use crate::ir::Checked;
use crate::ir::summary::{Row, StageRow, Totals, precisions, rows, stages, thousands};

/// Shows the layers of a network, or compares the totals of several.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc summary models/resnet.resnet --network resnet50\n  resnetc summary models/vgg.resnet models/resnet.resnet\n  \
                  resnetc summary models/resnet.resnet:resnet152 models/vgg.resnet:vgg16 models/vgg.resnet:vgg19\n  \
                  resnetc summary models/fashion.resnet --format json"
)]
pub(super) struct Args {
    /// Sources (.resnet) or run directories; all networks of a file are compared unless one is selected, and - reads standard input
    #[arg(required = true, value_name = "FILE[:NETWORK]")]
    files: Vec<String>,
    /// Network to show, if a file defines several; may be repeated
    #[arg(long, value_name = "NAME")]
    network: Vec<String>,
    /// Set a parameter of the network; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_set)]
    set: Vec<(String, String)>,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Json<'a> {
    file: &'a str,
    network: &'a str,
    #[serde(flatten)]
    totals: Totals,
    outputs: Vec<(String, String)>,
    stages: Vec<StageRow>,
    rows: Vec<Row>,
}

/// A network to show, and its file.
struct Entry {
    file: String,
    checked: Checked,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let mut list: Vec<Entry> = Vec::new();
    let mut found = vec![false; args.network.len()];
    let mut failed = false;
    for text in &args.files {
        let given = Select { set: args.set.clone(), ..Select::default() };
        let Place { file: path, select, .. } = Place::of(Path::new(text), &given, None)?;
        let mut front = super::open::source(&path)?;
        for name in names(args, &front, select.network.as_deref(), &mut found)? {
            if let Some(mut checked) = front.inspect(&name, &select.set) {
                args.precision.apply(&mut checked);
                list.push(Entry { file: path.display().to_string(), checked });
            }
        }
        failed |= front.has_errors();
        let diags = std::mem::take(&mut front.diagnostics);
        out.diagnostics(&diags, &front.sources, Format::Text)?;
    }
    // what only breaks its expectations is shown all the same
    if failed && list.is_empty() {
        return Err(Failure::Said);
    }
    if let Some((name, _)) = args.network.iter().zip(found).find(|(_, found)| !found) {
        return Err(Failure::Input(format!("none of the files has a network `{name}`")));
    }
    if list.is_empty() {
        return Err(Failure::Input(
            "no network to summarize: select one with --network, and set its parameters without defaults with --set".into(),
        ));
    }
    show(args.format, &list, out)?;
    if failed { Err(Failure::Said) } else { Ok(()) }
}

fn show(format: Format, list: &[Entry], out: &mut Out) -> Done {
    match (format, list) {
        (Format::Json, list) => {
            for Entry { file, checked } in list {
                let json = Json {
                    file,
                    network: &checked.network.name,
                    totals: Totals::of(checked),
                    outputs: outputs(checked),
                    stages: stages(checked),
                    rows: rows(checked),
                };
                out.line(serde_json::to_string(&json).map_err(Failure::input)?)?;
            }
            Ok(())
        }
        (Format::Text, [one]) => {
            layers(&one.checked, out)?;
            by_stage(&one.checked, out)
        }
        (Format::Text, list) => totals(list, out),
    }
}

/// The selected networks of a file: the one after the colon, those of `--network` that it has, or all with defaults.
fn names(args: &Args, front: &Frontend, named: Option<&str>, found: &mut [bool]) -> Result<Vec<String>, Failure> {
    if let Some(name) = named {
        return Ok(vec![front.select(Some(name)).map_err(Failure::input)?]);
    }
    if args.network.is_empty() {
        let closed = || front.networks().into_iter().filter(|n| n.open.is_empty()).map(|n| n.name).collect();
        return Ok(front.select(None).map_or_else(|_| closed(), |name| vec![name]));
    }
    let mut names = Vec::new();
    for (name, found) in args.network.iter().zip(found) {
        match front.select(Some(name)) {
            Ok(name) => {
                *found = true;
                names.push(name);
            }
            // another file may define it
            Err(_) if args.files.len() > 1 => {}
            Err(error) => return Err(Failure::input(error)),
        }
    }
    Ok(names)
}

/// The names and shapes of a network's outputs.
fn outputs(checked: &Checked) -> Vec<(String, String)> {
    checked.graph().outputs().iter().map(|(name, value)| (name.clone(), checked.types.get(*value).to_string())).collect()
}

fn free(macs: Option<u64>) -> String {
    macs.map_or_else(|| "free".to_string(), thousands)
}

fn layers(checked: &Checked, out: &mut Out) -> Done {
    let totals = Totals::of(checked);
    let is_f32 = checked.network.precision.is_f32();
    let mut cells: Vec<Vec<String>> = rows(checked)
        .into_iter()
        .map(|row| {
            let number = |n: Option<u64>| if n == Some(0) { String::new() } else { free(n) };
            let mut cells = vec![row.name, row.operator, row.output, number(Some(row.params)), number(row.macs)];
            cells.extend((!is_f32).then(|| row.precision.word().to_owned()));
            cells
        })
        .collect();
    let layers = format!("{} layers", totals.layers);
    let mut total = vec!["total".into(), layers, String::new(), thousands(totals.params), free(totals.macs)];
    // a network of one precision has no column for it
    total.extend((!is_f32).then(|| precisions(checked)));
    cells.push(total);
    let heads = ["layer", "operator", "output", "parameters", "multiply-adds", "precision"];
    table(out, &heads[..if is_f32 { 5 } else { 6 }], 3, &cells, true)
}

/// A table like the paper's Table 1: the blocks of each stage. Omitted if the network has no stages.
fn by_stage(checked: &Checked, out: &mut Out) -> Done {
    let rows = stages(checked);
    if rows.iter().all(|row| row.blocks == 0) {
        return Ok(());
    }
    let totals = Totals::of(checked);
    let mut cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let made = if row.blocks == 0 { String::new() } else { format!("{} of {}", row.blocks, row.unit) };
            vec![row.name, made, row.output, thousands(row.params), free(row.macs)]
        })
        .collect();
    // the last line is the network's total, as in the table of layers
    let layers = format!("{} layers", totals.layers);
    cells.push(vec!["total".into(), layers, String::new(), thousands(totals.params), free(totals.macs)]);
    out.line("")?;
    table(out, &["stage", "blocks", "output", "parameters", "multiply-adds"], 3, &cells, true)
}

fn totals(list: &[Entry], out: &mut Out) -> Done {
    let cells: Vec<Vec<String>> = list
        .iter()
        .map(|Entry { file, checked }| {
            let totals = Totals::of(checked);
            let output = match &outputs(checked)[..] {
                [(_, only)] => only.clone(),
                several => several.iter().map(|(name, shape)| format!("{name} {shape}")).collect::<Vec<_>>().join(", "),
            };
            let [layers, params, macs] = [totals.layers.to_string(), thousands(totals.params), free(totals.macs)];
            vec![checked.network.name.clone(), file.clone(), output, layers, params, macs]
        })
        .collect();
    table(out, &["network", "file", "output", "layers", "parameters", "multiply-adds"], 3, &cells, false)
}
