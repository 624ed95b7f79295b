//! Statements in the notation of PyTorch, Keras and Darknet, which do not parse here: what to write in their place.

use std::ops::Range;

use super::prelude;
use super::python;
use super::table::{self, Answer};
use super::words::{ITEMS, STATEMENTS};

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
    if word != lower && ITEMS.contains(&&*lower) {
        return Advice::own(format!("`{word}` is written `{lower}` here"), 0..end, lower);
    }
    if matches!(word, "import" | "from" | "class" | "def") { notation(text) } else { None }
}

/// The advice for an item where a statement belongs.
pub(super) fn nested(text: &str) -> Option<Advice> {
    let word = text.split(|c| !is_word(c)).next()?;
    let follows = text[word.len()..].trim_start().starts_with(|c: char| c.is_ascii_alphabetic() || c == '"');
    let help = "put it in front of this network; what is used more than once is a `block NAME { … }`";
    match word {
        _ if ITEMS.contains(&word) && follows => {
            advice(format!("`{word}` stands in a file, not in a network"), 0..word.len(), help)
        }
        _ => None,
    }
}

/// The advice for a statement that does not parse, where its notation is known.
pub(super) fn notation(text: &str) -> Option<Advice> {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let line = rest.lines().next().unwrap_or("");
    if let Some(found) = in_place(text, word) {
        return Some(found);
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!("`{word}` stands without its operator");
        return advice(message, 0..end, "an operator and its arguments stand in one line: `conv 3x3, filters: 32`");
    }
    if let Some((target, value)) = target_of(text) {
        return assignment(text, target, value);
    }
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
        "stage" | "repeat" if !text.split('{').next().unwrap_or("").contains(" of ") => return without_block(text, word),
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
    if text[target..].starts_with('(') || (tail.starts_with('(') && (target > end || *word != lower)) {
        return call(text, target);
    }
    if target > end {
        if tail.starts_with(['[', '.']) {
            return None;
        }
        let message = format!("`{}` has a prefix, and operators have none", &text[..target]);
        return match table::statement(&text[..target]) {
            Some(Answer::Ours(own)) if tail.is_empty() || !own.contains(' ') => Advice::own(message, 0..target, own),
            Some(Answer::Ours(own)) => advice(message, 0..target, format!("write `{own}`")),
            Some(Answer::Nothing(why)) => advice(message, 0..target, why),
            None => advice(message, 0..target, "write only the operator's word: `conv 3x3, filters: 64`"),
        };
    }
    if line.trim_start().starts_with(':') {
        return key(text, word);
    }
    if line.trim_start().starts_with(',') {
        return comma(text, word, end + line.len() - line.trim_start().len());
    }
    kernel(text)
}

/// `1 - x`, and `x * torch.sigmoid(x)`: an expression without `apply`.
fn in_place(text: &str, word: &str) -> Option<Advice> {
    let message = "an expression of the current value is a statement with `apply`";
    let tail = text[word.len()..].trim_start();
    let sign = ['+', '-', '*', '/'].into_iter().find(|&sign| tail.starts_with(sign))?;
    let rest = &tail[1..];
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '.' | '+' | '-' | '*' | '/' | '(' | ')' | 'x');
    let is_number = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    if text.chars().all(is_plain) && text.contains('x') && !rest.starts_with(['=', '*']) && (is_number || word == "x") {
        return Advice::own(message, 0..text.trim_end().len(), format!("apply {}", text.trim_end()));
    }
    let is_product = word == "x" && sign != '+' && !rest.starts_with('=');
    if is_product { advice(message, 0..word.len(), "write `apply` in front: `apply x * sigmoid(x)`") } else { None }
}

/// `conv, 3x3, filters: 8` and `relu, relu`.
fn comma(text: &str, word: &str, at: usize) -> Option<Advice> {
    let message = format!("no comma follows `{word}`");
    let words: Vec<&str> = text.trim_end().trim_end_matches(',').split(',').map(str::trim).collect();
    if words.len() > 1 && words.iter().all(|word| word.starts_with(|c: char| c.is_ascii_lowercase()) && is_size(word)) {
        let found = advice(message, at..at + 1, "statements stand in lines of their own, or with `;` between them")?;
        return found.edit(0..text.trim_end().len(), words.join("; "));
    }
    let after = &text[at + 1..];
    let blank = if after.starts_with(is_word) { " " } else { "" };
    let is_argument = after.trim_start().starts_with(|c: char| c.is_ascii_digit()) || after.trim().is_empty();
    let key = after.trim_start().trim_start_matches(is_word);
    let found = advice(message, at..at + 1, "delete the comma")?;
    if is_argument || key.starts_with(':') { found.edit(at..at + 1, blank) } else { Some(found) }
}

/// The length of the target, and the value, of `a, b = …`, `x: Tensor = …`, `layers[0] = …` and `shortcut = x`.
fn target_of(text: &str) -> Option<(usize, &str)> {
    let at = text.lines().next()?.find('=')?;
    let (target, value) = (text[..at].trim_end(), text[at + 1..].trim_start());
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| is_word(c) || c == '.')
    };
    let is_type = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase()) || name.contains('.');
    let is_lone = value.trim_end().chars().all(is_word) && !value.starts_with(|c: char| c.is_ascii_digit());
    let is_policy = matches!(value.trim_end(), "identity" | "projection" | "pad" | "none");
    let assigns = match target {
        _ if value.starts_with('=') => false,
        _ if target.contains(',') => target.split(',').all(|name| is_name(name.trim())),
        _ if target.ends_with(']') => target.split_once('[').is_some_and(|(name, _)| is_name(name)),
        _ if target.contains(':') => target.split_once(':').is_some_and(|(name, of)| is_name(name.trim()) && is_type(of.trim())),
        _ => STATEMENTS.contains(&target) && !is_policy && (is_lone || value.split_once('(').is_some_and(|(f, _)| is_name(f))),
    };
    assigns.then_some((target.len(), value))
}

/// `repeat 2 { … }` and `stage layer1 { … }`.
fn without_block(text: &str, word: &str) -> Option<Advice> {
    if !text.contains('{') {
        return colon(text, word);
    }
    let help = match word {
        "repeat" => "define `block NAME(filters) { … }` with the statements, and write `repeat 2 of NAME { filters: 64 }`",
        _ => "write `stage layer1: 2 of basic { filters: 64 }`: the number and the block stand in front of the braces",
    };
    advice(format!("`{word}` names no block"), 0..word.len(), help)
}

/// A statement that begins with a sign.
fn without_word(text: &str) -> Option<Advice> {
    if text.starts_with('[') && text.contains(" for ") {
        return advice("there are no loops", 0..1, "write `repeat 3 of BLOCK`, or the statement as often as it runs");
    }
    if let Some(name) = section(text) {
        return advice(
            "a section in brackets is Darknet's notation",
            0..name.len() + 2,
            "write an operator with its keys in one line: `conv 3x3, filters: 32`, then `batchnorm` and `relu` in lines of their own",
        );
    }
    option(text).map(|found| Advice { edit: found.edit.filter(|(_, own)| !own.is_empty()), ..found })
}

/// The name of a section in the notation of Darknet: `[convolutional]`.
pub(super) fn section(text: &str) -> Option<&str> {
    let name = text.trim_end().strip_prefix('[')?.strip_suffix(']')?;
    (name.starts_with(|c: char| c.is_ascii_lowercase()) && is_size(name)).then_some(name)
}

/// Whether a line is one of a Darknet section: `filters=32`.
pub(super) fn is_in_section(text: &str) -> bool {
    section(text).is_some() || text.split_once('=').is_some_and(|(key, _)| is_size(key.trim_end()))
}

/// `--epochs 10`: an option in a file.
pub(super) fn option(text: &str) -> Option<Advice> {
    if text.starts_with("-- ") {
        return advice("`--` begins no comment", 0..2, "comments begin with `//`")?.edit(0..2, "//");
    }
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
    let plain = is_statement(value) && text[..target].chars().all(|c| is_word(c) || c == '.');
    let message = "a value is not assigned to a variable";
    if plain {
        let help = "write only the operator: it reads the value of the statement before";
        return advice(message, 0..target, help)?.edit(0..from, "");
    }
    if let Some(help) = untranslated(value) {
        return advice(message, 0..target, help);
    }
    advice(message, 0..target, "write only the operator: it reads the value of the statement before; `as NAME` names its result")
}

/// Whether this is an operator with literals for its arguments.
fn is_statement(text: &str) -> bool {
    let Some((word, arguments)) = text.trim_end().split_once(' ') else { return false };
    let is_literal = |text: &str| {
        matches!(text, "true" | "false") || (text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_value))
    };
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && is_size(word)
        && arguments.split(',').enumerate().all(|(i, argument)| match argument.split_once(':') {
            Some((key, value)) => is_size(key.trim()) && is_literal(value.trim()),
            None => i == 0 && is_literal(argument.trim()),
        })
}

fn is_value(c: char) -> bool {
    is_word(c) || c == '.'
}

fn sequential(at: Range<usize>) -> Option<Advice> {
    advice(
        "statements run in the order in which they are written, without a container",
        at,
        "write one operator a line in `network NAME { … }`; `sequential NAME { … }` numbers its statements as PyTorch's `Sequential` does",
    )
}

/// `nn.ReLU6()` and others that are written in other words: without arguments, the fix is certain.
fn of_ours(text: &str, target: usize, message: String, own: &str) -> Option<Advice> {
    let whole = text.trim_end().len();
    let changes_nothing = matches!(&*text[target..whole].replace(' ', ""), "()" | "(inplace=True)" | "(True)");
    // frameworks differ in the slopes of these
    let is_certain = own.contains(' ') || (prelude::find(own).is_some() && !matches!(own, "leaky_relu" | "prelu"));
    if changes_nothing && is_certain {
        return Advice::own(message, 0..whole, own);
    }
    let example = match own {
        "conv" => "conv 3x3, filters: 64",
        "depthwise" => "depthwise 3x3",
        "upsample" => "upsample nearest, scale_factor: 2",
        "pad" => "pad 1",
        "linear" => "linear 10",
        "maxpool" => "maxpool 2x2, padding: 0",
        "avgpool" => "avgpool 2x2, padding: 0",
        own => own,
    };
    advice(message, 0..target, format!("write the operator's word and its keys, without parentheses: `{example}`"))
}

/// What keeps a constructed layer from being translated, if it is known.
fn untranslated(text: &str) -> Option<&'static str> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\'' | '"')).collect();
    if compact.contains("padding=same") {
        return Some(
            "with an odd kernel and stride 1, `conv 3x3, filters: 64` keeps the size without `padding`; otherwise write the padding as a number",
        );
    }
    compact.contains(")(").then_some(
        "write only the operator: it reads the value of the statement before; `branch NAME from LABEL { … }` reads another one",
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
    let is_own = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('.');
    match table::statement(name).filter(|_| !is_own && untranslated(text).is_none()) {
        Some(Answer::Ours(own)) => return of_ours(text, target, message, own),
        Some(Answer::Nothing(why)) => return advice(format!("there is no operator or block `{name}`"), 0..target, why),
        None => {}
    }
    let inside = text[target..whole].trim_start().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match inside {
        Some(inside) if inside.trim().is_empty() && !name.contains('.') => {
            Advice::own(format!("`{name}` takes its arguments without parentheses"), 0..whole, name)
        }
        Some(inside) if is_statement(&format!("{name} {inside}")) => {
            let own = format!("{name} {}", inside.trim());
            Advice::own(format!("`{name}` takes its arguments without parentheses"), 0..whole, own.trim_end())
        }
        _ => advice(message, 0..target, untranslated(text).unwrap_or(NO_PARENTHESES)),
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
    // `conv1: conv 3x3`
    let value = text[word.len()..].trim_start().strip_prefix(':')?.trim();
    if is_statement(value) {
        let message = format!("`{word}:` stands in front of no statement");
        if !python::is_label(word) {
            return advice(message, 0..word.len(), "`as NAME` at the statement's end names its result");
        }
        return Advice::own(message, 0..text.trim_end().len(), format!("{value} as {word}"));
    }
    // with keys of its own, it is an operator or block
    let at = word.len() + text[word.len()..].find(':')?;
    let has_keys = text[at + 1..].split(',').skip(1).any(|argument| argument.contains(':'));
    if has_keys && value.starts_with(|c: char| c.is_ascii_digit() || c == '(') {
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
