//! Arguments in Python's notation that stand in a statement of ours.

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_whole(value: &str) -> bool {
    !value.is_empty() && value.len() < 10 && value.bytes().all(|b| b.is_ascii_digit())
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
pub fn respelled(text: &str, quoted_words: bool) -> String {
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
            '(' if out.trim_end().ends_with([':', ',', '[']) => match parenthesized(rest) {
                Some((inner, after)) => {
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

/// The text in the parentheses that a text begins with, and what follows them.
fn parenthesized(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[1..at], &text[at + 1..]));
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

#[cfg(test)]
mod tests {
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
}
