//! Layers as Python constructs them with PyTorch or Keras, translated to statements: defaults that differ here are written out, so
//! that the statement computes the same.

use super::prelude;
use super::table::{self, Answer};
use super::words::is_name;

/// The statements of `nn.Conv2d(3, 64, 7, stride=2)`, `x = F.relu(x)`, `self.fc = nn.Linear(512, 10)`, `model.add(Dense(10))` or a
/// list of these, in one line, and the length of what they stand for; `None` where anything has no certain counterpart: a value that
/// is not written out, or a layer that reads another value than the statement before has.
pub(super) fn statements(text: &str) -> Option<(String, usize)> {
    let mut lines = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        // after a comma at a line's end, the next line belongs to the text, too
        let is_call =
            rest.find(|c: char| !is_word(c) && c != '.').is_some_and(|at| rest[at..].trim_start().starts_with(['(', '=']));
        if !is_call && !lines.is_empty() {
            return Some((lines.join("; ") + "; ", text.trim_end().len() - rest.len()));
        }
        let (target, call) = assigned(rest).map_or((None, rest), |(target, value)| (Some(target), value));
        let (callee, arguments, after) = called(call)?;
        let (callee, arguments) = match callee.strip_suffix(".add") {
            Some(_) => called(arguments.trim()).filter(|inner| inner.2.trim().is_empty()).map(|(a, b, _)| (a, b))?,
            None => (callee, arguments),
        };
        // Keras's functional style calls the layer: `Dense(10)(x)`
        let applied = called(after).filter(|(callee, ..)| callee.is_empty());
        let after = applied.map_or(after, |(.., after)| after);
        let (translated, function_of) = layer(callee, arguments)?;
        // only `x = …(x)` certainly reads what the statement before computes
        if applied.map(|(_, value, _)| value.trim()).into_iter().chain(function_of).any(|value| Some(value) != target) {
            return None;
        }
        let from = lines.len();
        lines.extend(translated);
        let name = target.and_then(|target| target.strip_prefix("self.")).filter(|name| is_label(name));
        if let (Some(name), true) = (name, lines.len() == from + 1) {
            lines[from] += &format!(" as {name}");
        }
        rest = match after.trim_start() {
            "" => "",
            more => more.strip_prefix(',')?.trim_start(),
        };
    }
    (!lines.is_empty()).then(|| (lines.join("; "), text.trim_end().len()))
}

/// Whether a name can be a label; `input` is the input's own.
pub(super) fn is_label(name: &str) -> bool {
    is_name(name) && name != "input"
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The target and the value of `self.conv1 = …`.
fn assigned(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !is_word(c) && c != '.')?;
    let value = text[end..].trim_start().strip_prefix('=')?;
    (!value.starts_with('=')).then(|| (&text[..end], value.trim_start()))
}

/// What is called, the text of its arguments, and what follows the call.
fn called(text: &str) -> Option<(&str, &str, &str)> {
    let name = text.find(|c: char| !is_word(c) && c != '.')?;
    let open = text.len() - text[name..].trim_start_matches(' ').len();
    text[open..].starts_with('(').then_some(())?;
    let mut depth = 0_usize;
    for (at, c) in text.char_indices().skip(open) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..name], &text[open + 1..at], &text[at + 1..]));
        }
    }
    None
}

/// Splits at commas outside of brackets.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut start, mut list) = (0_i32, 0, Vec::new());
    for (at, c) in arguments.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                list.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    list.push(arguments[start..].trim());
    list.retain(|argument| !argument.is_empty());
    list
}

/// Arguments by the name of their parameter; those that have no counterpart and change nothing are left out.
struct Arguments<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Arguments<'a> {
    /// `parameters` are the positional ones, in order.
    fn read(arguments: &[&'a str], parameters: &[&'a str]) -> Option<Arguments<'a>> {
        const WITHOUT_EFFECT: [&str; 6] = ["in_channels", "in_features", "num_features", "inplace", "name", "input_shape"];
        let mut list = Vec::new();
        for (i, argument) in arguments.iter().enumerate() {
            let (key, value) = match argument.split_once('=') {
                Some((key, value)) => (key.trim(), value.trim()),
                None => (*parameters.get(i)?, *argument),
            };
            if !WITHOUT_EFFECT.contains(&key) {
                list.push((key, value));
            }
        }
        Some(Arguments(list))
    }

    fn take(&mut self, keys: &[&str]) -> Option<&'a str> {
        let at = self.0.iter().position(|(key, _)| keys.contains(key))?;
        Some(self.0.remove(at).1)
    }

    /// `, key: value` in our words, and `default` if the argument is not given.
    fn keyed(&mut self, own: &str, keys: &[&str], value: Literal, default: &str) -> Option<String> {
        self.take(keys).map_or(Some(default.to_owned()), |given| Some(format!(", {own}: {}", value(given)?)))
    }

    fn done(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// A value that is written out, in our notation.
type Literal = fn(&str) -> Option<String>;

fn truth(value: &str) -> Option<String> {
    matches!(value, "True" | "False" | "true" | "false").then(|| value.to_ascii_lowercase())
}

fn is_whole(value: &str) -> bool {
    !value.is_empty() && value.len() < 10 && value.bytes().all(|b| b.is_ascii_digit())
}

/// A whole number above zero.
fn count(value: &str) -> Option<String> {
    (is_whole(value) && value.bytes().any(|b| b != b'0')).then(|| value.to_owned())
}

fn number(value: &str) -> Option<String> {
    let digit = |c: char| c.is_ascii_digit();
    let is_own = value.starts_with(digit) && value.ends_with(digit) && !value.contains(".e");
    (is_own && value.parse::<f64>().is_ok_and(f64::is_finite)).then(|| value.to_owned())
}

/// A number with or without a sign.
fn signed(value: &str) -> Option<String> {
    number(value.strip_prefix('-').unwrap_or(value)).map(|_| value.to_owned())
}

/// One whole number, or two: `3x3` for `(3, 3)` and `[3, 3]`.
fn size(value: &str) -> Option<String> {
    let pair = |open, close| value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).map(split);
    let own = match pair('(', ')').or_else(|| pair('[', ']')).as_deref() {
        Some([one]) => (*one).to_owned(),
        Some([a, b]) => format!("{a}x{b}"),
        Some(_) => return None,
        None => value.to_owned(),
    };
    own.split('x').all(is_whole).then_some(own)
}

/// A size without zero.
fn extent(value: &str) -> Option<String> {
    size(value).filter(|own| own.split('x').all(|axis| count(axis).is_some()))
}

/// A value in our notation: `true` for `True`, `3x3` for `(3, 3)`, a list for another tuple.
fn plain(value: &str) -> String {
    match value {
        "True" => return "true".to_owned(),
        "False" => return "false".to_owned(),
        _ => {}
    }
    match value.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).map(split).as_deref() {
        Some([one]) => (*one).to_owned(),
        Some([a, b]) if is_whole(a) && is_whole(b) => format!("{a}x{b}"),
        Some(list) => format!("[{}]", list.join(", ")),
        None => value.to_owned(),
    }
}

/// Arguments in our notation: `key: value` for `key=value`, sizes and lists for tuples, and for texts in single quotes either words
/// or texts in double quotes.
pub(super) fn respelled(text: &str, quoted_words: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let closed = |sign: char| rest[1..].find(sign).map(|at| at + 1);
        let length = match first {
            '"' => closed('"').map_or(rest.len(), |at| at + 1),
            '\'' if closed('\'').is_some() => {
                let end = closed('\'').unwrap_or(1);
                let inner = &rest[1..end];
                let bare = !quoted_words && !inner.is_empty() && inner.chars().all(is_word);
                out += &if bare { inner.to_owned() } else { format!("\"{inner}\"") };
                rest = &rest[end + 1..];
                continue;
            }
            '=' if !rest[1..].starts_with('=') && !out.ends_with(['=', '!', '<', '>', '~']) => {
                out.truncate(out.trim_end().len());
                out += ": ";
                rest = rest[1..].trim_start();
                continue;
            }
            '(' if out.trim_end().ends_with([':', ',', '[']) => match called(rest) {
                Some((_, inner, after)) => {
                    out += &plain(&rest[..inner.len() + 2]);
                    rest = after;
                    continue;
                }
                None => 1,
            },
            _ if word > 0 => {
                out += &plain(&rest[..word]);
                rest = &rest[word..];
                continue;
            }
            _ => first.len_utf8(),
        };
        out += &rest[..length];
        rest = &rest[length..];
    }
    out
}

/// A kernel in two dimensions: `3x3` for `3`.
fn kernel(value: &str) -> Option<String> {
    let own = extent(value)?;
    Some(if is_whole(&own) { format!("{own}x{own}") } else { own })
}

/// The statements of one layer, and of a function the value that it takes.
fn layer<'a>(callee: &str, arguments: &'a str) -> Option<(Vec<String>, Option<&'a str>)> {
    let class = callee.rsplit('.').next()?;
    let mut list = split(arguments);
    let (mut lines, mut function_of) = (Vec::new(), None);
    // a function takes the value first, which can be a call itself
    if class.starts_with(|c: char| c.is_ascii_lowercase()) && callee.contains('.') && !list.is_empty() {
        let value = list.remove(0);
        if value.chars().all(is_word) {
            function_of = Some(value);
        } else {
            let (callee, arguments, after) = called(value)?;
            (lines, function_of) = after.is_empty().then(|| layer(callee, arguments))??;
            function_of?;
        }
    }
    let read = |parameters: &[&'static str]| Arguments::read(&list, parameters);
    let args = match class {
        "Conv2d" | "conv" => {
            let torch = ["in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias"];
            let mut args = read(&torch)?;
            lines.push(convolution(&mut args)?);
            args
        }
        "Conv2D" | "Convolution2D" => {
            let mut args = read(&["filters", "kernel_size", "strides", "padding"])?;
            lines.push(convolution(&mut args)?);
            args
        }
        "Linear" | "Dense" => {
            let mut args =
                read(if class == "Dense" { &["units", "activation"] } else { &["in_features", "out_features", "bias"] })?;
            let width = count(args.take(&["units", "out_features"])?)?;
            lines.push(format!("linear {width}{}", args.keyed("bias", &["bias", "use_bias"], truth, "")?));
            args
        }
        "BatchNorm2d" => {
            let mut args = read(&["num_features", "eps", "momentum"])?;
            let keys = ["eps", "momentum"].map(|key| args.keyed(key, &[key], number, ""));
            let [eps, momentum] = keys;
            lines.push(format!("batchnorm{}", (eps? + &momentum?).replacen(',', "", 1)));
            args
        }
        "GroupNorm" => {
            let mut args = read(&["num_groups", "num_channels", "eps", "affine"])?;
            let groups = count(args.take(&["num_groups"])?)?;
            args.take(&["num_channels"]);
            let eps = args.keyed("eps", &["eps"], number, "")?;
            lines.push(format!("groupnorm groups: {groups}{eps}{}", args.keyed("affine", &["affine"], truth, "")?));
            args
        }
        "LayerNorm" | "LayerNorm2d" | "InstanceNorm2d" => {
            let (word, keys) = match class {
                "InstanceNorm2d" => ("instancenorm", ["num_features", "eps", "momentum", "affine"]),
                _ => ("layernorm", ["normalized_shape", "eps", "elementwise_affine", "bias"]),
            };
            let mut args = read(&keys)?;
            args.take(&["num_features", "normalized_shape"]);
            let eps = args.keyed("eps", &["eps"], number, "")?;
            let affine = args.keyed("affine", &["affine", "elementwise_affine"], truth, "")?;
            lines.push(format!("{word}{}", (eps + &affine).replacen(',', "", 1)));
            args
        }
        "BatchNormalization" => {
            // Keras's momentum is the share that stays
            lines.push("batchnorm eps: 1e-3, momentum: 0.01".to_owned());
            read(&[])?
        }
        "MaxPool2d" | "MaxPooling2D" | "max_pool2d" | "AvgPool2d" | "AveragePooling2D" | "avg_pool2d" => {
            let mut args = read(&["kernel_size", "stride", "padding"])?;
            let word = if class.to_ascii_lowercase().starts_with("max") { "maxpool" } else { "avgpool" };
            lines.push(pool(word, &mut args)?);
            args
        }
        "AdaptiveAvgPool2d" | "adaptive_avg_pool2d" => {
            let mut args = read(&["output_size"])?;
            let size = extent(args.take(&["output_size"])?)?;
            let global = matches!(&*size, "1" | "1x1");
            lines.push(if global { "avgpool global".to_owned() } else { format!("avgpool output_size: {size}") });
            args
        }
        "GlobalAveragePooling2D" => {
            lines.push("avgpool global".to_owned());
            read(&[])?
        }
        "Dropout" | "dropout" => {
            let mut args = read(&["p"])?;
            lines.push(format!("dropout {}", number(args.take(&["p", "rate"]).unwrap_or("0.5"))?));
            args
        }
        "Softmax" | "softmax" => {
            lines.push("softmax".to_owned());
            let mut args = read(&["dim"])?;
            args.take(&["dim", "axis"]).is_none_or(|dim| matches!(dim, "1" | "-1")).then_some(args)?
        }
        "Flatten" | "flatten" => {
            lines.push("flatten".to_owned());
            let mut args = read(&["start_dim"])?;
            args.take(&["start_dim"]).is_none_or(|dim| dim == "1").then_some(args)?
        }
        "Activation" => read(&["activation"])?,
        _ => {
            let (line, args) = activation(callee, &list)?;
            lines.push(line);
            args
        }
    };
    let mut args = args;
    if let Some(activation) = args.take(&["activation"]) {
        let word = activation.trim_matches(['\'', '"']);
        lines.push(keras_activation(word)?.to_owned());
    }
    args.done()?;
    Some((lines, function_of))
}

/// An activation as a layer or function.
fn activation<'a>(callee: &str, list: &[&'a str]) -> Option<(String, Arguments<'a>)> {
    let class = callee.rsplit('.').next()?;
    let is_torch = ["nn.", "torch.", "F."].iter().any(|module| callee.contains(module));
    let mut word = table::activation(class)?;
    let keys: Vec<&str> = match word.name {
        "prelu" => vec!["num_parameters", "init"],
        "relu" => vec!["inplace"],
        _ => word.keys().map(|(key, _)| key).collect(),
    };
    let mut args = Arguments::read(list, &keys)?;
    match word.name {
        // the default slope is 0.01 in PyTorch, and 0.2 or 0.3 in Keras
        "leaky_relu" if !is_torch && list.is_empty() => return None,
        // one slope in PyTorch unless it says how many, and one per element in Keras
        "prelu" if !is_torch => return None,
        "prelu" if matches!(args.take(&["num_parameters"]), None | Some("1")) => word = prelude::find("prelu_shared")?,
        "gelu" => match args.take(&["approximate"]).map(unquoted) {
            None | Some("none" | "False") => {}
            Some("tanh" | "True") => word = prelude::find("gelu_tanh")?,
            Some(_) => return None,
        },
        _ => {}
    }
    let mut line = word.name.to_owned();
    for (key, _) in word.keys() {
        let others = args
            .0
            .iter()
            .map(|(given, _)| *given)
            .find(|given| table::among(word.name, &table::plain(given)) == Some(Answer::Ours(key)));
        let given: Vec<&str> = [key].into_iter().chain(others).collect();
        let separator = if line.len() == word.name.len() { " " } else { ", " };
        if let Some(value) = args.take(&given) {
            line += &format!("{separator}{key}: {}", signed(value)?);
        }
    }
    if word.name.starts_with("prelu") && args.take(&["init"]).is_some_and(|init| init != "0.25") {
        return None;
    }
    Some((line, args))
}

/// Keras's `activation='relu'`.
fn keras_activation(word: &str) -> Option<&'static str> {
    match word {
        "softmax" => Some("softmax"),
        // the slope is another one in Keras
        "leaky_relu" => None,
        _ => match table::statement(word)? {
            Answer::Ours(own) => prelude::find(own).map(|activation| activation.name),
            Answer::Nothing(_) => None,
        },
    }
}

fn convolution(args: &mut Arguments) -> Option<String> {
    let kernel = kernel(args.take(&["kernel_size"])?)?;
    let filters = count(args.take(&["filters", "out_channels"])?)?;
    let stride = args.keyed("stride", &["stride", "strides"], extent, "")?;
    let dilation = args.keyed("dilation", &["dilation", "dilation_rate"], extent, "")?;
    let padding = match args.take(&["padding"]).map(unquoted) {
        None | Some("valid") => ", padding: 0".to_owned(),
        Some("same") => {
            // what ours is by default, of an odd kernel
            let odd = |axis: &str| axis.ends_with(['1', '3', '5', '7', '9']);
            let steps = matches!(&*stride, "" | ", stride: 1" | ", stride: 1x1");
            (steps && dilation.is_empty() && kernel.split('x').all(odd)).then(String::new)?
        }
        Some(value) => format!(", padding: {}", size(value)?),
    };
    let groups = args.keyed("groups", &["groups"], count, "")?;
    let bias = args.keyed("bias", &["bias", "use_bias"], truth, ", bias: true")?;
    Some(format!("conv {kernel}, filters: {filters}{stride}{padding}{dilation}{groups}{bias}"))
}

fn pool(word: &str, args: &mut Arguments) -> Option<String> {
    let kernel = kernel(args.take(&["kernel_size", "pool_size"]).unwrap_or("2"))?;
    let stride = args.keyed("stride", &["stride", "strides"], extent, "")?;
    let padding = match args.take(&["padding"]) {
        Some(value) if unquoted(value) != "valid" => format!(", padding: {}", size(value)?),
        _ => ", padding: 0".to_owned(),
    };
    let ceil = args.keyed("ceil_mode", &["ceil_mode"], truth, "")?;
    Some(format!("{word} {kernel}{stride}{padding}{ceil}"))
}

/// A word without its quotes; what is no word stays as it is, so that `"3"` is no number.
fn unquoted(value: &str) -> &str {
    let word = value.trim_matches(['\'', '"']);
    if word.starts_with(|c: char| c.is_ascii_alphabetic()) { word } else { value }
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn layers_are_translated_with_the_defaults_that_differ() {
        for (python, own) in [
            ("nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)", "conv 7x7, filters: 64, stride: 2, padding: 3, bias: false"),
            ("nn.Conv2d(3, 64, kernel_size=(3, 5))", "conv 3x5, filters: 64, padding: 0, bias: true"),
            ("self.conv1 = nn.Conv2d(3, 64, 3)", "conv 3x3, filters: 64, padding: 0, bias: true as conv1"),
            ("model.add(Conv2D(32, (3, 3), activation='relu'))", "conv 3x3, filters: 32, padding: 0, bias: true; relu"),
            ("x = Conv2D(32, 3, padding='same')(x)", "conv 3x3, filters: 32, bias: true"),
            ("Conv2D(32, [3, 5], strides=(1, 1), padding=\"same\")", "conv 3x5, filters: 32, stride: 1x1, bias: true"),
            ("nn.Conv2d (3, 64, 3)", "conv 3x3, filters: 64, padding: 0, bias: true"),
            ("self.input = nn.Linear(512, 10)", "linear 10"),
            ("nn.BatchNorm2d(64), nn.ReLU(inplace=True),", "batchnorm; relu"),
            ("nn.BatchNorm2d(64, eps=0.001)", "batchnorm eps: 0.001"),
            ("nn.GroupNorm(32, 64)", "groupnorm groups: 32"),
            ("nn.LayerNorm(96, eps=1e-6)", "layernorm eps: 1e-6"),
            ("nn.InstanceNorm2d(64, affine=True)", "instancenorm affine: true"),
            ("x = F.max_pool2d(F.relu(x), 2)", "relu; maxpool 2x2, padding: 0"),
            ("nn.AdaptiveAvgPool2d((1, 1))", "avgpool global"),
            ("self.fc = nn.Linear(512, 10)", "linear 10 as fc"),
            ("nn.GELU()", "gelu"),
            ("nn.GELU(approximate='tanh')", "gelu_tanh"),
            ("nn.SiLU(inplace=True), nn.Hardswish()", "silu; hardswish"),
            ("x = F.leaky_relu(x, 0.2, inplace=True)", "leaky_relu negative_slope: 0.2"),
            ("LeakyReLU(alpha=0.1)", "leaky_relu negative_slope: 0.1"),
            ("nn.Hardtanh(-2.0, 2.0)", "hardtanh min_val: -2.0, max_val: 2.0"),
            ("nn.PReLU(), nn.PReLU(64)", "prelu_shared; prelu"),
            ("Dense(10, activation='swish')", "linear 10; silu"),
            ("Dense(units=10, activation='softmax')", "linear 10; softmax"),
        ] {
            assert_eq!(statements(python), Some((own.to_owned(), python.len())), "{python}");
        }
        let joined = "nn.ReLU(), nn.Flatten(),  linear 10";
        assert_eq!(statements(joined), Some(("relu; flatten; ".to_owned(), "nn.ReLU(), nn.Flatten(),  ".len())));
    }

    #[test]
    fn arguments_are_respelled() {
        for (python, own) in [
            ("=2", ": 2"),
            (" = (2, 2), padding='same', bias=True", ": 2x2, padding: same, bias: true"),
            ("=(0.485, 0.456, 0.406), n == 3", ": [0.485, 0.456, 0.406], n == 3"),
            ("='a b' + \"c=d\"", ": \"a b\" + \"c=d\""),
        ] {
            assert_eq!(super::respelled(python, false), own);
        }
        assert_eq!(super::respelled("['cat', 'dog']", true), "[\"cat\", \"dog\"]");
    }

    #[test]
    fn what_has_no_certain_counterpart_is_not_translated() {
        for python in [
            "nn.Conv2d(3, 64, 3, padding_mode='reflect')",
            "Conv2D(32, 3, strides=2, padding='same')",
            "Conv2D(32, 2, padding='same')",
            "nn.Conv2d(3, 64, x.size(2))",
            "nn.Conv2d(3, 64, \"3\")",
            "nn.Conv2d(3, width, 3)",
            "nn.Conv2d(3, 64, 3, bias=0)",
            "nn.Conv2d(3, 64, 3, bias=None)",
            "nn.BatchNorm2d(64, momentum=None)",
            "a = layers.Dense(10)(x)",
            "y = F.relu(x)",
            "layers.Dense(10)(x)",
            "a, b = nn.ReLU()",
            "self.features[0] = nn.ReLU()",
            "x: Tensor = nn.ReLU()",
            "LeakyReLU()",
            "nn.PReLU(8, init=0.1)",
            "nn.GELU(approximate=mode)",
            "nn.RReLU()",
            "x = self.conv1(x)",
            "Dense(10, activation='leaky_relu')",
            "nn.Softmax(dim=0)",
            "nn.Conv2d(3, 64, 3",
            "nn.Conv2d()",
            "relu() + 1",
            "",
        ] {
            assert_eq!(statements(python), None, "{python}");
        }
    }
}
