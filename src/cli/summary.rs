//! `resnetc summary`

use std::path::PathBuf;

use serde::Serialize;

use super::args::{Format, Select};
use super::output::{Done, Failure, Out};
use crate::driver::Frontend;
use crate::ir::Checked;
use crate::ir::summary::{Row, StageRow, Totals, rows, stages, thousands};

/// Shows a row a layer; of several files or networks, the totals side by side.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc summary models/resnet.resnet --network resnet50\n  resnetc summary models/vgg.resnet models/resnet.resnet\n  \
                  resnetc summary models/fashion.resnet --format json"
)]
pub(super) struct Args {
    /// Files; of one with several networks, all are compared unless one is named
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    select: Select,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Json<'a> {
    file: String,
    network: &'a str,
    #[serde(flatten)]
    totals: Totals,
    stages: Vec<StageRow>,
    rows: Vec<Row>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let mut list: Vec<(String, Checked)> = Vec::new();
    let mut failed = false;
    for path in &args.files {
        let mut front = Frontend::open(path).map_err(Failure::input)?;
        let names: Vec<String> = match (&args.select.network, front.select(None)) {
            (Some(name), _) => match front.select(Some(name)) {
                Ok(name) => vec![name],
                // with several files, the network stands in one of them
                Err(_) if args.files.len() > 1 => continue,
                Err(error) => return Err(Failure::input(error)),
            },
            (None, Ok(name)) => vec![name],
            (None, Err(_)) => front.networks().into_iter().filter(|n| n.open.is_empty()).map(|n| n.name).collect(),
        };
        for name in names {
            if let Some(checked) = front.check(&name, &args.select.set) {
                list.push((path.display().to_string(), checked));
            }
        }
        failed |= front.has_errors();
        let diags = std::mem::take(&mut front.diagnostics);
        out.diagnostics(&diags, &front.sources, Format::Text)?;
    }
    if failed {
        return Err(Failure::Said);
    }
    if list.is_empty() {
        return Err(Failure::Input(
            "no network to summarise: name one with --network, and give its open parameters with --set".into(),
        ));
    }
    match (args.format, &list[..]) {
        (Format::Json, list) => {
            for (file, checked) in list {
                let json = Json {
                    file: file.clone(),
                    network: &checked.network.name,
                    totals: Totals::of(checked),
                    stages: stages(checked),
                    rows: rows(checked),
                };
                out.line(serde_json::to_string(&json).map_err(Failure::input)?)?;
            }
            Ok(())
        }
        (Format::Text, [(_, one)]) => {
            layers(one, out)?;
            by_stage(one, out)
        }
        (Format::Text, list) => totals(list, out),
    }
}

fn free(macs: Option<u64>) -> String {
    macs.map_or_else(|| "free".to_string(), thousands)
}

/// A table of text columns: the first is aligned left, as are those of words; numbers right.
fn table(out: &mut Out, head: &[&str], right_from: usize, rows: &[Vec<String>], rule_before_last: bool) -> Done {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let render = |cells: &[String]| {
        let parts: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(i, cell)| {
                let fill = " ".repeat(widths[i] - cell.chars().count());
                if i >= right_from { format!("{fill}{cell}") } else { format!("{cell}{fill}") }
            })
            .collect();
        parts.join("  ").trim_end().to_string()
    };
    let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1));
    out.line(render(&head.iter().map(ToString::to_string).collect::<Vec<_>>()))?;
    out.line(&rule)?;
    for (i, row) in rows.iter().enumerate() {
        if rule_before_last && i + 1 == rows.len() {
            out.line(&rule)?;
        }
        out.line(render(row))?;
    }
    Ok(())
}

fn layers(checked: &Checked, out: &mut Out) -> Done {
    let totals = Totals::of(checked);
    let mut cells: Vec<Vec<String>> = rows(checked)
        .into_iter()
        .map(|row| {
            let number = |n: Option<u64>| if n == Some(0) { String::new() } else { free(n) };
            vec![row.name, row.operator, row.output, number(Some(row.params)), number(row.macs)]
        })
        .collect();
    cells.push(vec![
        "total".into(),
        format!("{} layers", totals.layers),
        String::new(),
        thousands(totals.params),
        free(totals.macs),
    ]);
    table(out, &["layer", "operator", "output", "parameters", "multiply-adds"], 3, &cells, true)
}

/// The paper's Table 1: what each stage is made of. Nothing where a network has no stages.
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
    // the last line is the network's, with this table as without
    let layers = format!("{} layers", totals.layers);
    cells.push(vec!["total".into(), layers, String::new(), thousands(totals.params), free(totals.macs)]);
    out.line("")?;
    table(out, &["stage", "blocks", "output", "parameters", "multiply-adds"], 3, &cells, true)
}

fn totals(list: &[(String, Checked)], out: &mut Out) -> Done {
    let cells: Vec<Vec<String>> = list
        .iter()
        .map(|(file, checked)| {
            let totals = Totals::of(checked);
            vec![
                checked.network.name.clone(),
                file.clone(),
                totals.layers.to_string(),
                thousands(totals.params),
                free(totals.macs),
            ]
        })
        .collect();
    table(out, &["network", "file", "layers", "parameters", "multiply-adds"], 2, &cells, false)
}
