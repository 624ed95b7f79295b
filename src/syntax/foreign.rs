//! Statements in the notation of PyTorch, Keras and Darknet, which do not parse here: what to write in their place.

use std::ops::Range;

/// What is said of a statement in another notation. Ranges are relative to the statement.
pub(super) struct Advice {
    pub message: String,
    pub at: Range<usize>,
    pub help: String,
    pub edit: Option<(Range<usize>, String)>,
}

fn advice(message: impl Into<String>, at: Range<usize>, help: impl Into<String>) -> Option<Advice> {
    Some(Advice { message: message.into(), at, help: help.into(), edit: None })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The advice for a statement that does not parse, where its notation is known.
pub(super) fn notation(text: &str) -> Option<Advice> {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let line = rest.lines().next().unwrap_or("");
    let after = line.trim_start();
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
            return advice("there is no `return`", 0..end, "the last value is the result: delete this line");
        }
        "stage" | "repeat" => return swapped(text),
        _ => {}
    }
    if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
        return advice(
            "a section in brackets is Darknet's notation",
            0..name.len() + 2,
            "write an operator with its keys in one line: `conv 3x3, filters: 32`, then `batchnorm` and `relu` in lines of their own",
        );
    }
    if word.is_empty() {
        return None;
    }
    // `x = …`, `self.conv1 = …`, `x += …`
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
        let value = value.trim_start();
        if value.starts_with(|c: char| c.is_ascii_digit()) && word != "x" && !text[..target].contains('.') {
            return advice(
                format!("`{word}` stands without its operator"),
                0..end,
                "a key stands after its operator, with `:`: `conv 3x3, filters: 32`",
            );
        }
        let message = "a value is not assigned to a variable";
        let from = text.len() - value.len();
        let plain = value.starts_with(is_word) && !value.contains(['(', '.', '+', '=', '\n']) && value.contains(' ');
        let mut found = advice(
            message,
            0..target,
            "write only the operator: it reads the value of the statement before; `as NAME` names its result",
        )?;
        if plain {
            found.help = "write only the operator: it reads the value of the statement before".to_owned();
            found.edit = Some((0..from, String::new()));
        }
        return Some(found);
    }
    if text[..target].contains('.') && tail.starts_with('(') {
        return advice(
            format!("`{}` is called as in Python", &text[..target]),
            0..target,
            "write the operator's word and its keys, without parentheses: `conv 3x3, filters: 64`",
        );
    }
    if after.starts_with(':') {
        return advice(
            format!("`{word}` stands without what it belongs to"),
            0..end,
            "a key stands after its operator (`conv 3x3, filters: 64`) or in the braces of a stage (`stage layer1: 2 of basic { filters: 64 }`)",
        );
    }
    if line.trim_end() == "()" {
        let mut found =
            advice(format!("`{word}` takes no parentheses"), end..end + line.trim_end().len(), format!("write `{word}`"))?;
        found.edit = Some((end..end + line.trim_end().len(), String::new()));
        return Some(found);
    }
    kernel(text)
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
    let own = format!("{count} of {block}");
    let mut found = advice("the count stands in front of the block", start..from + length, format!("write `{own}`"))?;
    found.edit = Some((start..from + length, own));
    Some(found)
}

/// `conv 3 x 3` and `conv (3, 3)`.
fn kernel(text: &str) -> Option<Advice> {
    let bytes = text.as_bytes();
    let digits = |from: usize| text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
    let blanks = |from: usize| text[from..].find(|c: char| c != ' ').unwrap_or(text.len() - from);
    for start in 1..text.len() {
        let paired = bytes[start] == b'(' && !is_word(char::from(bytes[start - 1]));
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
        let mut found = advice("a size is written without blanks or parentheses", start..end, format!("write `{own}`"))?;
        found.edit = Some((start..end, own));
        return Some(found);
    }
    None
}
