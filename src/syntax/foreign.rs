//! Statements in the notation of PyTorch, Keras and Darknet, which do not parse here: what to write in their place.

use std::ops::Range;

use super::python;
use super::words::STATEMENTS;

/// What is reported of a statement in another notation. Ranges are relative to the statement.
pub(super) struct Advice {
    pub message: String,
    pub at: Range<usize>,
    pub help: String,
    pub edit: Option<(Range<usize>, String)>,
}

impl Advice {
    /// With an edit that does what the help says.
    fn edit(self, range: Range<usize>, own: impl Into<String>) -> Option<Advice> {
        Some(Advice { edit: Some((range, own.into())), ..self })
    }

    /// Writes `own` in place of a range.
    fn own(message: impl Into<String>, range: Range<usize>, own: impl Into<String>) -> Option<Advice> {
        let own = own.into();
        let help = format!("write `{}`", own.trim_end_matches([';', ' ']));
        advice(message, range.clone(), help)?.edit(range, own)
    }
}

fn advice(message: impl Into<String>, at: Range<usize>, help: impl Into<String>) -> Option<Advice> {
    Some(Advice { message: message.into(), at, help: help.into(), edit: None })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

const NO_PARENTHESES: &str = "write the operator's word and its keys, without parentheses: `conv 3x3, filters: 64`";

/// What a file is that does not begin as a source does, if it is known.
pub(super) fn kind(text: &str) -> Option<&'static str> {
    let starts = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    match () {
        () if starts(&["import ", "from ", "class ", "def ", "\"\"\"", "#!/"]) => Some("Python"),
        () if starts(&["[net]", "[convolutional]"]) => Some("a Darknet configuration"),
        () if starts(&["name: \"", "layer {", "layers {"]) => Some("a Caffe prototxt"),
        () => None,
    }
}

/// The advice for what stands outside of networks and blocks, where its notation is known.
pub(super) fn item(text: &str) -> Option<Advice> {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let word = &text[..end];
    let lower = word.to_ascii_lowercase();
    if word != lower && matches!(&*lower, "use" | "network" | "block") {
        return Advice::own(format!("`{word}` is written `{lower}` here"), 0..end, lower);
    }
    if matches!(word, "import" | "from" | "class" | "def") { notation(text) } else { None }
}

/// The advice for a statement that does not parse, where its notation is known.
pub(super) fn notation(text: &str) -> Option<Advice> {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let line = rest.lines().next().unwrap_or("");
    match word {
        "for" | "while" => {
            return advice(
                format!("there is no `{word}` loop"),
                0..end,
                "write `repeat 3 of BLOCK`, or `stage layer1: 3 of BLOCK { filters: 64 }`",
            );
        }
        "def" | "class" => {
            return advice(
                format!("`{word}` is Python"),
                0..end,
                "write `network NAME { … }` or `block NAME(filters) { … }` with one operator a line, in the order in which they run",
            );
        }
        "import" | "from" => {
            return advice(format!("`{word}` does not import here"), 0..end, "write `use std.blocks: basic`");
        }
        "return" => {
            return advice("there is no `return`", 0..end, "the last value is the result: delete this line")?
                .edit(0..text.len(), "");
        }
        "stage" | "repeat" => return swapped(text).or_else(|| colon(text, word)),
        "input" => return dimensions(text).or_else(|| colon(text, word)),
        "block" if line.trim_start().starts_with(':') => return key(text, word),
        _ if STATEMENTS.contains(&word) => return colon(text, word),
        "" => return without_word(text),
        _ => {}
    }
    let lower = word.to_ascii_lowercase();
    if lower == "sequential" {
        return sequential(0..end);
    }
    if STATEMENTS.contains(&&*lower) && !line.trim_start().starts_with(['(', '.', '=']) {
        return Advice::own(format!("`{word}` is written `{lower}` here"), 0..end, lower);
    }
    // `nn.Conv2d`, `self.conv1`
    let target = text.find(|c: char| !is_word(c) && c != '.').unwrap_or(text.len());
    let tail = text[target..].trim_start();
    let is_sum = tail.starts_with("+=") || (tail.starts_with('+') && !text.contains('='));
    if is_sum {
        return advice(
            "a sum of values is written `add`",
            0..text.lines().next().unwrap_or("").len(),
            "write `add shortcut`, or `add LABEL` with the label of a statement or branch",
        );
    }
    if let Some(value) = tail.strip_prefix('=').filter(|rest| !rest.starts_with('=')) {
        return assignment(text, target, value.trim_start());
    }
    if text[target..].starts_with('(') {
        return call(text, target);
    }
    if target > end {
        let own = text[..target].rsplit('.').next().unwrap_or("").to_ascii_lowercase();
        let own = ["1d", "2d", "3d"].into_iter().find_map(|dims| own.strip_suffix(dims)).unwrap_or(&own);
        return Advice::own(format!("`{}` has a prefix, and operators have none", &text[..target]), 0..target, own);
    }
    if line.trim_start().starts_with(':') {
        return key(text, word);
    }
    if line.trim_start().starts_with(',') {
        let comma = end + line.len() - line.trim_start().len();
        return advice(format!("no comma follows `{word}`"), comma..comma + 1, "delete the comma")?.edit(comma..comma + 1, "");
    }
    kernel(text)
}

/// A statement that begins with a sign.
fn without_word(text: &str) -> Option<Advice> {
    if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
        return advice(
            "a section in brackets is Darknet's notation",
            0..name.len() + 2,
            "write an operator with its keys in one line: `conv 3x3, filters: 32`, then `batchnorm` and `relu` in lines of their own",
        );
    }
    option(text)
}

/// `--epochs 10`: an option in a file.
pub(super) fn option(text: &str) -> Option<Advice> {
    if text.starts_with("--") {
        let help =
            "an option belongs to the command line (`--set train.epochs=10`), a key of a recipe into `train { … }`: `epochs 10`";
        return advice("a key has no dashes", 0..2, help)?.edit(0..2, "");
    }
    None
}

/// `x = …`, `self.conv1 = …`.
fn assignment(text: &str, target: usize, value: &str) -> Option<Advice> {
    let name = &text[..target];
    if value.starts_with(|c: char| c.is_ascii_digit()) && name != "x" && !name.contains('.') {
        return advice(
            format!("`{name}` stands without its operator"),
            0..target,
            "a key stands after its operator, with `:`: `conv 3x3, filters: 32`",
        );
    }
    if let Some((own, length)) = python::statements(text) {
        return Advice::own("a layer is written as a statement, not constructed or assigned", 0..length, own);
    }
    if value.contains("Sequential(") {
        return sequential(0..target);
    }
    let from = text.len() - value.len();
    let plain = value.starts_with(is_word) && !value.contains(['(', '.', '+', '=', '\n']) && value.contains(' ');
    let message = "a value is not assigned to a variable";
    if plain {
        let help = "write only the operator: it reads the value of the statement before";
        return advice(message, 0..target, help)?.edit(0..from, "");
    }
    advice(message, 0..target, "write only the operator: it reads the value of the statement before; `as NAME` names its result")
}

fn sequential(at: Range<usize>) -> Option<Advice> {
    advice(
        "statements run in the order in which they are written, without a container",
        at,
        "write one operator a line in `network NAME { … }`; `sequential NAME { … }` numbers its statements as PyTorch's `Sequential` does",
    )
}

/// `nn.Conv2d(3, 64, 7)`, `relu()`, `conv(3x3, filters: 64)`.
fn call(text: &str, target: usize) -> Option<Advice> {
    let name = &text[..target];
    let whole = text.trim_end().len();
    let message = format!("`{name}` is called as in Python");
    if let Some((own, length)) = python::statements(text) {
        return Advice::own(message, 0..length, own);
    }
    if name.rsplit('.').next() == Some("Sequential") || text.contains("Sequential(") {
        return sequential(0..target);
    }
    match &*name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase() {
        "input" | "inputlayer" => return advice(message, 0..target, "write `input 3 x 224 x 224`: channels, height and width"),
        "cat" | "concat" | "concatenate" => {
            let help = "write `concat LABEL`; `branch LABEL { … }` or `as LABEL` gives a value its label";
            return advice(message, 0..target, help);
        }
        _ => {}
    }
    let inside = text[target..whole].trim_start().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match inside {
        Some(inside) if !name.contains('.') && !inside.contains(['=', '(', ')', '\'', '"']) => {
            let own = format!("{name} {}", inside.trim());
            Advice::own(format!("`{name}` takes its arguments without parentheses"), 0..whole, own.trim_end())
        }
        _ => advice(message, 0..target, NO_PARENTHESES),
    }
}

/// `input: 3 x 32 x 32`: the words of statements take no colon.
fn colon(text: &str, word: &str) -> Option<Advice> {
    let rest = text[word.len()..].trim_start();
    let at = text.len() - rest.len();
    let after = rest.strip_prefix(':')?;
    if matches!(word, "shortcut" | "expect") {
        return None;
    }
    let message = format!("no colon follows `{word}`");
    if after.lines().next().unwrap_or("").trim().is_empty() {
        let help = format!("braces hold what belongs to it, not indentation: `{word} {{ … }}`");
        return advice(message, at..at + 1, help);
    }
    advice(message, at..at + 1, "delete the colon")?.edit(at..at + 1, "")
}

/// `input 3, 32, 32` and `input (3, 32, 32)`.
fn dimensions(text: &str) -> Option<Advice> {
    let rest = text.strip_prefix("input")?;
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim();
    let start = text.len() - text.strip_prefix("input")?.trim_start_matches([':', ' ', '\t']).len();
    let inner = rest.trim_start_matches(['(', '[']).trim_end_matches([')', ']']);
    let separated = |sign: char| inner.contains(sign) && inner.split(sign).all(|dim| is_size(dim.trim()));
    let sign = [',', '*', '×'].into_iter().find(|&sign| separated(sign))?;
    let own = inner.split(sign).map(str::trim).collect::<Vec<_>>().join(" x ");
    Advice::own("dimensions are separated by `x`", start..text.trim_end().len(), own)
}

fn is_size(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word)
}

/// `filters: 64`, `conv: 3x3, filters: 64`: what begins with a word and a colon.
fn key(text: &str, word: &str) -> Option<Advice> {
    const OF_OPERATORS: &str = "a key stands after its operator (`conv 3x3, filters: 64`)";
    let found = |help: &str| advice(format!("no statement begins with `{word}:`"), 0..word.len(), help);
    match word {
        "block" | "blocks" | "depths" | "layers" | "num_layers" | "num_blocks" | "depth" => {
            return found("a stage names its block and states how many: `stage layer1: 2 of basic { filters: 64 }`");
        }
        "filters" | "kernel" | "kernel_size" | "stride" | "strides" | "padding" | "pad" | "size" | "dilation" | "groups"
        | "bias" => {
            return found(OF_OPERATORS);
        }
        "map" | "dilate" | "width" | "planes" | "channels" => {
            return found("a key of a stage stands in its braces: `stage layer2: 2 of basic { filters: 128, map: halve }`");
        }
        "activation" => return found("an activation is an operator in its own line: `relu`"),
        "classes" | "num_classes" => return found("the last layer states it: `linear 10`"),
        "input_shape" | "input_size" | "image_size" | "inputs" => {
            return found("write `input 3 x 224 x 224`: channels, height and width");
        }
        "name" => return found("the name stands after `network`: `network NAME { … }`"),
        "epochs" | "lr" | "learning_rate" | "batch" | "batch_size" | "optimizer" | "scheduler" | "loss" | "momentum"
        | "weight_decay" => {
            return found("training is described in `train { … }`: `train { optimizer sgd { lr: 0.1 }, batch 128, epochs 90 }`");
        }
        _ => {}
    }
    // with keys of its own, it is an operator or block
    let at = word.len() + text[word.len()..].find(':')?;
    let has_keys = text[at + 1..].split(',').skip(1).any(|argument| argument.contains(':'));
    if has_keys {
        return advice(format!("no colon follows `{word}`"), at..at + 1, "delete the colon")?.edit(at..at + 1, "");
    }
    found(&format!("{OF_OPERATORS} or in the braces of a stage; no `:` follows an operator itself"))
}

/// `stage x: basic of 3`.
fn swapped(text: &str) -> Option<Advice> {
    let at = text.find(" of ")?;
    let start = text[..at].rfind([':', ' ']).map_or(0, |i| i + 1);
    let block = &text[start..at];
    let from = at + 4;
    let length = text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
    if length == 0 || block.is_empty() || !block.chars().all(is_word) || block.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let count = &text[from..from + length];
    Advice::own("the count stands in front of the block", start..from + length, format!("{count} of {block}"))
}

/// `conv 3 x 3` and `conv (3, 3)`.
fn kernel(text: &str) -> Option<Advice> {
    let bytes = text.as_bytes();
    let digits = |from: usize| text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
    let blanks = |from: usize| text[from..].find(|c: char| c != ' ').unwrap_or(text.len() - from);
    for start in 1..text.len() {
        // after `=`, the sign is the error
        let paired = bytes[start] == b'(' && !is_word(char::from(bytes[start - 1])) && bytes[start - 1] != b'=';
        let open = bytes[start].is_ascii_digit() && bytes[start - 1] == b' ';
        if !paired && !open {
            continue;
        }
        let first = start + usize::from(paired);
        let first = first + blanks(first);
        let n = digits(first);
        let sign = first + n + blanks(first + n);
        if n == 0 || bytes.get(sign) != Some(if paired { &b',' } else { &b'x' }) {
            continue;
        }
        let second = sign + 1 + blanks(sign + 1);
        let m = digits(second);
        let mut end = second + m;
        if paired {
            end += blanks(end);
            if bytes.get(end) != Some(&b')') {
                continue;
            }
            end += 1;
        }
        if m == 0 || (!paired && end - start == n + m + 1) {
            continue;
        }
        let own = format!("{}x{}", &text[first..first + n], &text[second..second + m]);
        return Advice::own("a size is written without spaces or parentheses", start..end, own);
    }
    None
}
