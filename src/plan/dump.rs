//! The plan as text, one line per step, as `compile --emit plan` prints it. Deterministic.

use std::fmt::{self, Display};

use super::{Buffer, BufferId, ConvStrategy, FusedFunction, Kernel, Place, Plan, Port, ResidualPlan, RowLoop, Step, Weight};
use crate::base::tensor::DType;
use crate::ir::Op;
use crate::kernels::Layout;
use crate::kernels::nchwc::direct::DirectPlan;
use crate::kernels::upsample::Nearest;
use crate::kernels::winograd::Split;

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan {}  batch {}  threads {}", self.name, self.options.batch, self.options.threads)?;
        for port in &self.inputs {
            writeln!(f, "input  {}: {}", port.name, port_type(port))?;
        }
        let rows: Vec<[String; 6]> = self.steps.iter().enumerate().map(|(i, step)| self.row(i, step)).collect();
        let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3), width(4)];
        for (index, row) in rows.iter().enumerate() {
            if let Some(RowLoop { counts, bound, rows, .. }) = self.loops.iter().find(|l| l.steps.start == index) {
                let counts = self.place(*counts);
                writeln!(f, "      for each chunk of {rows} rows, of those that {counts} counts: up to {bound} of each sample")?;
            }
            let mut line = String::new();
            for (text, width) in row.iter().zip(widths) {
                line.push_str(&format!("{text:<width$}  "));
            }
            line.push_str(&row[5]);
            writeln!(f, "{}", line.trim_end())?;
        }
        for port in &self.outputs {
            writeln!(f, "output {}: {}", port.name, port_type(port))?;
        }
        let weights: usize = self.weights.iter().map(Weight::unpacked_bytes).sum();
        let scratch = self.scratch * self.options.threads;
        write!(f, "arena {} (scratch {}), weights {}", bytes(self.arena), bytes(scratch), bytes(weights))
    }
}

impl Plan {
    /// Index and name, kernel, sizes, buffer places, bytes of weights, reason.
    fn row(&self, index: usize, step: &Step) -> [String; 6] {
        let places = |ids: &[BufferId]| ids.iter().map(|&id| self.place(id)).collect::<Vec<_>>().join(", ");
        let weights: usize = step.weights.iter().map(|w| self.weights[w.0].unpacked_bytes()).sum();
        [
            format!("{index:>4}  {}{}", if self.loops.iter().any(|l| l.steps.contains(&index)) { "  " } else { "" }, step.name),
            kernel(&step.kernel),
            sizes(&step.shape),
            format!("{} -> {}", places(&step.inputs), places(&step.outputs)),
            if weights > 0 { format!("weights {}", bytes(weights)) } else { String::new() },
            step.why.clone(),
        ]
    }

    fn place(&self, id: BufferId) -> String {
        let Buffer { place, len, layout, dtype, .. } = self.buffer(id);
        let mut layout = match layout {
            Layout::Nchw => String::new(),
            Layout::Blocked { lanes } => format!(" c{lanes}"),
        };
        if *dtype != DType::F32 {
            layout = format!("{layout} {dtype}");
        }
        match place {
            Place::Input(i) => format!("input {i}{layout}"),
            Place::Output(i) => format!("output {i}{layout}"),
            Place::Arena(offset) => format!("[{}+{}]{layout}", bytes(*offset), bytes(*len)),
        }
    }
}

impl Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&kernel(self))
    }
}

fn kernel(kernel: &Kernel) -> String {
    let act = |act: &Option<FusedFunction>| act.as_ref().map_or(String::new(), |act| format!(" {}", act.name()));
    let residual = |residual: &ResidualPlan| match residual {
        ResidualPlan::None => "",
        ResidualPlan::InPlace => " add-in-place",
        ResidualPlan::Operand => " add",
    };
    match kernel {
        Kernel::Conv { shape, strategy, residual: r, act: a } => {
            let how = match strategy {
                ConvStrategy::Gemm(tiles) => {
                    let by = if shape.is_pointwise() { "gemm" } else { "im2col" };
                    format!("{by} {}x{}", tiles.filters, tiles.pixels)
                }
                ConvStrategy::Depthwise => "depthwise".to_owned(),
                ConvStrategy::DirectNchw => "direct-nchw".to_owned(),
                ConvStrategy::Direct { plan, plain } => {
                    let from = if *plain { "direct from plain" } else { "direct" };
                    format!("{from} {}", cut(plan))
                }
                ConvStrategy::Winograd(plan) => {
                    let side = plan.size.side();
                    let by = match plan.split {
                        Split::Tiles => "tiles",
                        Split::Filters => "filters",
                        Split::Transform => "filters, transformed",
                    };
                    format!("winograd {side}x{side} {} by {by}", plan.tiles)
                }
            };
            let groups = if shape.groups > 1 { format!(" groups {}", shape.groups) } else { String::new() };
            let [kh, kw] = shape.kernel;
            format!("conv {kh}x{kw}/{}{groups} {how}{}{}", shape.stride[0], residual(r), act(a))
        }
        Kernel::FusedConvPair { second, plan, act: a, .. } => {
            format!("conv 1x1/1 + conv 1x1/{} direct {}{}", second.stride[0], cut(plan), act(a))
        }
        Kernel::ChannelConv(_) => "channel conv".to_owned(),
        Kernel::Linear { residual: r, act: a, .. } => format!("linear{}{}", residual(r), act(a)),
        Kernel::Elementwise(function) => function.name.clone(),
        Kernel::ScaleShift { act: a, .. } => format!("scale-shift{}", act(a)),
        Kernel::SampleNorm { norm, act: a } => format!("{}{}", Op::SampleNorm(*norm).word(), act(a)),
        Kernel::OverChannels { reduction, .. } => format!("{} over channels", Op::OverChannels(*reduction).word()),
        Kernel::L2Norm { eps } => Op::L2Norm(*eps).word().to_owned(),
        Kernel::Copy => "copy".to_owned(),
        Kernel::Concat { placed: 0, .. } => "concat".to_owned(),
        Kernel::Concat { placed, .. } => format!("concat, {placed} in place"),
        Kernel::Pool(shape) => {
            let kind = if shape.kind == crate::kernels::pool::PoolKind::Max { "maxpool" } else { "avgpool" };
            format!("{kind} {}x{}/{}", shape.kernel[0], shape.kernel[1], shape.stride[0])
        }
        Kernel::AdaptiveAvg { output: [1, 1], .. } => "avgpool global".to_owned(),
        Kernel::AdaptiveAvg { output: [h, w], .. } => format!("avgpool output_size {h}x{w}"),
        Kernel::Softmax { .. } => "softmax".to_owned(),
        Kernel::Pad(_) => "pad".to_owned(),
        Kernel::Convert { .. } => "convert".to_owned(),
        Kernel::Train(train) => train.op.word().to_owned(),
        Kernel::Custom(op) => op.0.word().to_owned(),
        Kernel::Upsample(Nearest { output: [h, w], .. }) => format!("upsample to {h}x{w}"),
        Kernel::Interpolate(map) => format!("interpolate to {}x{}", map.rows.to(), map.columns.to()),
        Kernel::Slice { .. } => "slice".to_owned(),
        Kernel::Rearrange { .. } => "rearrange".to_owned(),
        Kernel::Shuffle { groups, .. } => format!("shuffle groups {groups}"),
        Kernel::Subsample { stride, .. } => format!("subsample /{}", stride[0]),
    }
}

/// Rows (or pixels) and samples of a strip, and the number of filter shares.
fn cut(plan: &DirectPlan) -> String {
    let samples = if plan.samples > 1 { format!("x{}", plan.samples) } else { String::new() };
    format!("{}{samples}/{}", plan.rows, plan.shares)
}

/// Sizes, and the type of the elements if it is not f32.
fn port_type(port: &Port) -> String {
    match port.dtype {
        DType::F32 => sizes(&port.shape),
        other => format!("{} {other}", sizes(&port.shape)),
    }
}

fn sizes(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

/// A number of bytes, with a unit.
fn bytes(bytes: usize) -> String {
    match bytes as f64 {
        b if b >= 1024.0 * 1024.0 => format!("{:.1} MiB", b / 1024.0 / 1024.0),
        b if b >= 1024.0 => format!("{:.1} KiB", b / 1024.0),
        b => format!("{b} B"),
    }
}
