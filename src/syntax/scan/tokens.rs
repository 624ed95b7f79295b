//! Checks single tokens: numbers, strings, and characters that are not part of the language.

use std::ops::Range;

use super::{OPEN_STRING, Scanner};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;

impl Scanner<'_> {
    pub(super) fn number(&mut self) {
        let start = self.at;
        let mut end = self.word_end(start);
        let digits = |range: Range<usize>| self.bytes[range].iter().all(|b| b.is_ascii_digit() || *b == b'_');
        if self.bytes.get(end) == Some(&b'.') && digits(start..end) {
            end = self.word_end(end + 1);
        }
        let sign = self.bytes.get(end).is_some_and(|b| matches!(b, b'+' | b'-'));
        let exponent = self.text[start..end].strip_suffix(['e', 'E']);
        if sign && exponent.is_some_and(|mantissa| mantissa.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'_' | b'.'))) {
            end = self.word_end(end + 1);
        }
        // `0..3`, as Rust and others write it
        let whole = self.word_end(start);
        if let Some(last) = self.text[whole..].strip_prefix("..").filter(|_| digits(start..whole)) {
            let last = last.trim_start_matches(['.', '=']);
            let length = last.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(last.len());
            let stop = self.text.len() - last.len() + length;
            let message = format!("`{}` is a range, and there are no ranges", shorten(&self.text[start..stop]));
            self.diagnostics.push(Diagnostic::error(codes::NUMBER, message, self.span(start..stop), "not a number").help(
                "blocks in a row are `repeat 3 of BLOCK` or `stage layer1: 3 of BLOCK { filters: 64 }`; there are no loops",
            ));
            self.at = stop;
            return;
        }
        if let Err(what) = check_number(&self.text[start..end]) {
            let (message, label) = (format!("`{}` is not a number", shorten(&self.text[start..end])), what);
            self.diagnostics.push(Diagnostic::error(codes::NUMBER, message, self.span(start..end), label));
        }
        self.at = end;
    }

    pub(super) fn string(&mut self) {
        let start = self.at;
        let mut at = start + 1;
        loop {
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    if !matches!(self.bytes.get(at + 1), Some(b'"' | b'\\' | b'n' | b't')) {
                        let next = self.text[at + 1..].chars().next().filter(|&c| c != '\n');
                        let end = at + 1 + next.map_or(0, char::len_utf8);
                        let message = format!("`{}` is not an escape", self.text[at..end].escape_debug());
                        self.diagnostics.push(
                            Diagnostic::error(codes::STRING, message, self.span(at..end), "unknown escape")
                                .help(r#"the escapes are `\"`, `\\`, `\n` and `\t`"#),
                        );
                    }
                    // The character after the backslash is never the end, except a line end, which the next iteration handles.
                    at += if matches!(self.bytes.get(at + 1), None | Some(b'\n')) { 1 } else { 2 };
                }
                None | Some(b'\n') => {
                    let end = start + self.text[start..at].trim_end().len();
                    let span = self.span(start..end);
                    let diagnostic = Diagnostic::error(codes::STRING, OPEN_STRING, span, "no closing `\"` in this line");
                    self.diagnostics.push(diagnostic);
                    self.at = at;
                    return;
                }
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
    }

    /// A text in single quotes, which the parser reports with what stands around it.
    pub(super) fn single_quoted(&mut self) {
        let rest = &self.text[self.at + 1..];
        match rest.find(['\'', '\n']).filter(|&end| rest[end..].starts_with('\'')) {
            Some(end) => self.at += end + 2,
            None => self.stray(),
        }
    }

    /// A run of characters that are not part of the language.
    pub(super) fn stray(&mut self) {
        let start = self.at;
        let known = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_\"{}()[],;:=+-*/%<>".contains(c);
        let rest = &self.text[start..];
        let length = rest.char_indices().skip(1).find(|&(_, c)| known(c)).map_or(rest.len(), |(i, _)| i);
        self.at = start + length.max(1);
        let found = &self.text[start..self.at];
        let span = self.span(start..self.at);
        let message = format!("`{}` means nothing here", shorten(found).escape_debug());
        let mut diagnostic = Diagnostic::error(codes::STRAY, message, span, "not a part of the language");
        diagnostic = match found {
            "#" => {
                // the rest of the line is a comment, whatever it holds
                self.at = start + self.text[start..].find('\n').unwrap_or(self.text.len() - start);
                self.blanks.extend(start..self.at);
                diagnostic.fix("comments begin with `//`", span, "//")
            }
            "'" => diagnostic.help("texts go in double quotes"),
            "&" | "&&" => diagnostic.fix("write `and`", span, "and"),
            "|" | "||" => diagnostic.fix("write `or`", span, "or"),
            "^" => diagnostic.help("a square is `square(x)`, a cube `x * x * x`"),
            "!" => diagnostic.help("write `not` and a blank"),
            "×" => diagnostic.fix("write the letter `x`", span, "x"),
            _ => diagnostic,
        };
        self.diagnostics.push(diagnostic);
    }
}

/// At most 40 characters of a text, for a message.
pub(in crate::internal::syntax) fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// Checks a word that begins with a digit.
fn check_number(word: &str) -> Result<(), &'static str> {
    let plain = |digits: &str| {
        !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_')
            && !digits.starts_with('_')
            && !digits.ends_with('_')
            && !digits.contains("__")
    };
    let fits = |digits: &str| digits.replace('_', "").parse::<i64>().is_ok();
    if word.starts_with('.') {
        return Err("a number begins with a digit: write 0 before the point");
    }
    if word.ends_with('.') {
        return Err("digits are missing after the point");
    }
    if plain(word) {
        return if fits(word) { Ok(()) } else { Err("larger than 9_223_372_036_854_775_807") };
    }
    if word.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return Err("a `_` stands between two digits");
    }
    if word.contains('x') {
        let parts = || word.split('x');
        return match () {
            () if parts().any(|part| !part.bytes().all(|b| b.is_ascii_digit())) => Err("sizes are written as `3x3`"),
            () if parts().any(str::is_empty) => Err("a number is missing beside the `x`"),
            () if !parts().all(fits) => Err("larger than 9_223_372_036_854_775_807"),
            () => Ok(()),
        };
    }
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (word, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if !plain(whole) || fraction.is_some_and(|fraction| !plain(fraction)) {
        return Err("a name begins with a letter, and a number holds digits only");
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err("an exponent is written as in `1e-4`");
        }
    }
    match word.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(()),
        _ => Err("too large"),
    }
}
