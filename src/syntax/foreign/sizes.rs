//! Sizes and counts in another notation: `conv 3 x 3`, `input 3, 32, 32`, `stage x: basic of 3`.

use super::advice::{Advice, advice, is_single, is_word};
use super::keys::colon;

/// `repeat 2 { … }` and `stage layer1 { … }`.
pub fn without_block(text: &str, word: &str) -> Option<Advice> {
    if !text.contains('{') {
        return colon(text, word);
    }
    let help = match word {
        "repeat" => "define `block NAME(filters) { … }` with the statements, and write `repeat 2 of NAME { filters: 64 }`",
        _ => "write `stage layer1: 2 of basic { filters: 64 }`: the number and the block come before the braces",
    };
    advice(format!("`{word}` names no block"), 0..word.len(), help)
}

/// `stage x: basic of 3`.
pub fn swapped(text: &str) -> Option<Advice> {
    let at = text.find(" of ")?;
    let start = text[..at].rfind([':', ' ']).map_or(0, |i| i + 1);
    let block = &text[start..at];
    let from = at + 4;
    let length = text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
    if length == 0 || block.is_empty() || !block.chars().all(is_word) || block.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let count = &text[from..from + length];
    Advice::own("the count comes before the block", start..from + length, format!("{count} of {block}"))
}

/// `input 3, 32, 32` and `input (3, 32, 32)`.
pub fn dimensions(text: &str) -> Option<Advice> {
    let rest = text.strip_prefix("input")?;
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim();
    let start = text.len() - text.strip_prefix("input")?.trim_start_matches([':', ' ', '\t']).len();
    let inner = rest.trim_start_matches(['(', '[']).trim_end_matches([')', ']']);
    let separated = |sign: char| inner.contains(sign) && inner.split(sign).all(|dim| is_single(dim.trim()));
    let sign = [',', '*', '×'].into_iter().find(|&sign| separated(sign))?;
    let own = inner.split(sign).map(str::trim).collect::<Vec<_>>().join(" x ");
    Advice::own("dimensions are separated by `x`", start..text.trim_end().len(), own)
}

/// `conv 3 x 3` and `conv (3, 3)`.
pub fn kernel(text: &str) -> Option<Advice> {
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
