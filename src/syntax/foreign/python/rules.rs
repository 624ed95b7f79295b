//! Layers whose statement depends on more than single arguments.

use super::layer::{Arguments, optional, required, statement};
use super::tree::{Expr, Kind};
use super::value::{count, extent, factors, interpolation, kernel, number, reshaped, sides, size, truth};

type Lines = Option<Vec<String>>;

fn line(text: impl Into<String>) -> Lines {
    Some(vec![text.into()])
}

/// `conv`, or `depthwise` where each channel is a group.
pub fn convolution(args: &mut Arguments) -> Lines {
    let channels = args.take(&["in_channels"]);
    let filters = args.take(&["filters", "out_channels"])?;
    let groups = args.take(&["groups"]);
    let kernel = args.argument(&required("", &["kernel_size"], kernel))?;
    let stride = args.argument(&optional("stride", &["stride", "strides"], extent))?;
    let dilation = args.argument(&optional("dilation", &["dilation", "dilation_rate"], extent))?;
    let padding = padding(args, &kernel, &stride, &dilation)?;
    let bias = args.argument(&optional("bias", &["bias", "use_bias"], truth).or("bias: true"))?;
    // without a padding mode, or with the default one
    args.leave_out("padding_mode", &["'zeros'", "\"zeros\""])?;
    let same = |a: Option<&Expr>, b: Option<&Expr>| a.is_some_and(|a| b.is_some_and(|b| a.text == b.text));
    let is_depthwise = same(channels, Some(filters)) && same(channels, groups) && channels.and_then(Expr::whole) != Some(1);
    let common = [stride, padding, dilation];
    if is_depthwise {
        return line(statement("depthwise", [kernel].into_iter().chain(common).chain([bias])));
    }
    let keyed = |args: &mut Arguments, key: &str, value: &Expr| {
        let own = args.value(value, count)?;
        Some(if own == key { own } else { format!("{key}: {own}") })
    };
    let filters = keyed(args, "filters", filters)?;
    let groups = groups.map_or(Some(String::new()), |groups| keyed(args, "groups", groups))?;
    line(statement("conv", [kernel, filters].into_iter().chain(common).chain([groups, bias])))
}

fn padding(args: &mut Arguments, kernel: &str, stride: &str, dilation: &str) -> Option<String> {
    let Some(given) = args.take(&["padding"]) else { return Some("padding: 0".to_owned()) };
    match &given.kind {
        Kind::Text("valid") => Some("padding: 0".to_owned()),
        Kind::Text("same") => {
            // what ours is by default, of an odd kernel
            let odd = |axis: &str| axis.ends_with(['1', '3', '5', '7', '9']);
            let steps = matches!(stride, "" | "stride: 1" | "stride: 1x1");
            (steps && dilation.is_empty() && kernel.split('x').all(odd)).then(String::new)
        }
        Kind::Text(_) => None,
        _ => {
            let own = args.value(given, size)?;
            Some(if own == "padding" { own } else { format!("padding: {own}") })
        }
    }
}

/// `normalized_shape` is the channels, or all sizes.
pub fn layer_norm(args: &mut Arguments) -> Lines {
    args.leave_out("bias", &["True"])?;
    let shape = args.take(&["normalized_shape", "num_channels"]);
    let sizes = shape.map_or(1, |shape| match &shape.kind {
        Kind::Sequence(items) => items.len(),
        _ => 1,
    });
    let over = match sizes {
        1 => "",
        3 => "over: all",
        _ => return None,
    };
    let eps = args.argument(&optional("eps", &["eps"], number))?;
    let affine = args.argument(&optional("affine", &["affine", "elementwise_affine"], truth))?;
    line(statement("layernorm", [over.to_owned(), eps, affine]))
}

/// `F.normalize` with its defaults.
pub fn normalize(args: &mut Arguments) -> Lines {
    args.leave_out("p", &["2", "2.0"])?;
    args.leave_out("dim", &["1"])?;
    line(args.statement("l2norm", &[optional("eps", &["eps"], number)])?)
}

pub fn adaptive_average(args: &mut Arguments) -> Lines {
    let given = args.take(&["output_size"])?;
    let size = args.value(given, extent)?;
    let is_global = matches!(&*size, "1" | "1x1");
    line(if is_global { "avgpool global".to_owned() } else { format!("avgpool output_size: {size}") })
}

pub fn adaptive_maximum(args: &mut Arguments) -> Lines {
    let given = args.take(&["output_size"])?;
    let size = args.value(given, extent)?;
    if matches!(&*size, "1" | "1x1") { line("maxpool global") } else { None }
}

pub fn mean(args: &mut Arguments) -> Lines {
    reduced(args, "mean", "avgpool")
}

pub fn maximum(args: &mut Arguments) -> Lines {
    reduced(args, "max", "maxpool")
}

/// Over the channels of each place, or over the places.
fn reduced(args: &mut Arguments, word: &str, pool: &str) -> Lines {
    let mut axes = args.take(&["dim", "axis"])?.wholes()?;
    let keeps = args.take(&["keepdim", "keepdims"]).is_some_and(|keeps| keeps.text == "True");
    axes.sort_unstable();
    match axes[..] {
        // without the axis, it would be no feature map
        [1 | -3] if keeps => line(format!("{word} over: channels")),
        [2, 3] | [-2, -1] if keeps => line(format!("{pool} global")),
        [2, 3] | [-2, -1] => Some(vec![format!("{pool} global"), "flatten".to_owned()]),
        _ => None,
    }
}

/// `nn.Upsample` and `F.interpolate`.
pub fn upsample(args: &mut Arguments) -> Lines {
    args.leave_out("antialias", &["False"])?;
    let mode = args.argument(&required("", &["mode"], interpolation).or("nearest"))?;
    let target = match args.take(&["size"]) {
        Some(given) if given.text != "None" => match like(given) {
            Some(label) => {
                args.is_literal = false;
                format!("like: {label}")
            }
            None => match args.value(given, extent)? {
                size if size == "size" => size,
                size => format!("size: {size}"),
            },
        },
        _ => args.argument(&required("scale_factor", &["scale_factor"], factors))?,
    };
    args.leave_out("scale_factor", &["None"])?;
    let corners = match args.take(&["align_corners"]) {
        Some(given) if !matches!(given.text, "None" | "False") => format!("align_corners: {}", args.value(given, truth)?),
        _ => String::new(),
    };
    line(statement("upsample", [mode, target, corners]))
}

/// The value whose size this is: `a.shape[-2:]`, `a.size()[2:]`.
fn like<'a>(size: &Expr<'a>) -> Option<&'a str> {
    let Kind::Index(of, "-2:" | "2:" | "2:4") = &size.kind else { return None };
    match &of.kind {
        Kind::Attribute(value, "shape") => value.name(),
        Kind::Call(callee, arguments) if arguments.is_empty() => match &callee.kind {
            Kind::Attribute(value, "size") => value.name(),
            _ => None,
        },
        _ => None,
    }
    .filter(|label| *label != "x")
}

/// `F.pad`: sides from the last axis on, `(left, right, top, bottom, before, after)`.
pub fn pad(args: &mut Arguments) -> Lines {
    let given = args.take(&["pad"])?;
    let mode = match args.take(&["mode"]).map(Expr::word) {
        None | Some(Some("constant")) => String::new(),
        Some(Some(mode @ ("reflect" | "replicate"))) => format!("mode: {mode}"),
        Some(_) => return None,
    };
    args.leave_out("value", &["0", "0.0", "None"])?;
    let Kind::Sequence(items) = &given.kind else { return None };
    match &items[..] {
        [left, right, top, bottom, before, after] => {
            let is_zero = |value: &Expr| value.whole() == Some(0);
            let channels = format!("channels: [{}, {}]", args.value(before, size)?, args.value(after, size)?);
            let around = [left, right, top, bottom].into_iter().all(is_zero);
            if around && mode.is_empty() { line(statement("pad", [channels])) } else { None }
        }
        _ => {
            let own = args.value(given, sides)?;
            line(statement("pad", [own, mode]))
        }
    }
}

/// Two axes of a feature map, swapped.
pub fn transpose(args: &mut Arguments) -> Lines {
    let mut axes = [args.take(&["dim0"])?.whole()?, args.take(&["dim1"])?.whole()?];
    axes.sort_unstable();
    match axes {
        [1, 2] => line("transpose hcw"),
        [1, 3] => line("transpose whc"),
        [2, 3] | [-2, -1] => line("transpose cwh"),
        _ => None,
    }
}

/// The axes of a feature map in another order. Those of `channels_last` and back are left to advice: layers read channels as they are.
pub fn permute(args: &mut Arguments) -> Lines {
    let axes = ["0", "1", "2", "3"].iter().map(|axis| args.take(&[axis])?.whole()).collect::<Option<Vec<_>>>()?;
    match axes[..] {
        [0, 1, 3, 2] => line("transpose cwh"),
        [0, 2, 1, 3] => line("transpose hcw"),
        [0, 3, 2, 1] => line("transpose whc"),
        _ => None,
    }
}

/// `view(x.size(0), -1)`, and sizes that are written out after the batch's.
pub fn reshape(args: &mut Arguments) -> Lines {
    let batch = args.take(&["0"])?;
    let sizes: Vec<&Expr> = ["1", "2", "3"].iter().filter_map(|axis| args.take(&[axis])).collect();
    let is_batch = batch.whole() == Some(-1) || batch.text.ends_with("size(0)") || batch.text.ends_with("shape[0]");
    match sizes[..] {
        [rest] if rest.whole() == Some(-1) && batch.whole() != Some(-1) => line("flatten"),
        [_, _, _] if is_batch || batch.name().is_some() => {
            let sizes = sizes.into_iter().map(|given| args.value(given, reshaped)).collect::<Option<Vec<_>>>()?;
            line(format!("reshape [{}]", sizes.join(", ")))
        }
        _ => None,
    }
}

/// Everything but the batch.
pub fn flatten(args: &mut Arguments) -> Lines {
    let is_all = args.take(&["start_dim"]).is_none_or(|dim| dim.text == "1");
    args.leave_out("end_dim", &["-1", "3"])?;
    if is_all { line("flatten") } else { None }
}

pub fn dropout(args: &mut Arguments) -> Lines {
    // a function that says so drops values in inference, too
    args.leave_out("training", &["self.training"])?;
    line(args.statement("dropout", &[required("", &["p", "rate"], number).or("0.5")])?)
}

pub fn softmax(args: &mut Arguments) -> Lines {
    let is_over_channels = args.take(&["dim", "axis"]).is_none_or(|dim| matches!(dim.text, "1" | "-1"));
    if is_over_channels { line("softmax") } else { None }
}
