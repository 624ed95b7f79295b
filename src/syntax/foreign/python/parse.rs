//! Parses expressions of Python.

use super::tree::{Argument, Expr, Kind};

/// How deep expressions may nest.
const MAX_DEPTH: usize = 32;

/// The expression at the beginning of a text, and its length; `None` for what networks are not written with.
pub fn expression(text: &str) -> Option<(Expr<'_>, usize)> {
    let mut parser = Parser { text, at: 0, depth: 0, brackets: 0 };
    let expr = parser.sum()?;
    Some((expr, parser.at))
}

/// The text as one expression.
pub fn whole(text: &str) -> Option<Expr<'_>> {
    let (expr, length) = expression(text)?;
    text[length..].trim().is_empty().then_some(expr)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Lines end only outside of brackets.
    brackets: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        let is_blank = |c: char| matches!(c, ' ' | '\t') || (self.brackets > 0 && c.is_whitespace());
        self.at += rest.len() - rest.trim_start_matches(is_blank).len();
    }

    /// Takes this sign, after blanks.
    fn take(&mut self, sign: &str) -> bool {
        let before = self.at;
        self.skip_blanks();
        let found = self.rest().starts_with(sign);
        self.at = if found { self.at + sign.len() } else { before };
        found
    }

    fn node(&self, start: usize, kind: Kind<'a>) -> Expr<'a> {
        Expr { text: &self.text[start..self.at], kind }
    }

    fn sum(&mut self) -> Option<Expr<'a>> {
        self.depth += 1;
        let found = if self.depth > MAX_DEPTH { None } else { self.binary(&["+", "-"], Parser::product) };
        self.depth -= 1;
        found
    }

    fn product(&mut self) -> Option<Expr<'a>> {
        self.binary(&["**", "//", "*", "/", "%"], Parser::signed)
    }

    fn binary(&mut self, signs: &[&'static str], operand: fn(&mut Self) -> Option<Expr<'a>>) -> Option<Expr<'a>> {
        self.skip_blanks();
        let start = self.at;
        let mut left = operand(self)?;
        let mut operators = 0;
        // `x += a` is no sum
        while let Some(&sign) = signs.iter().find(|sign| self.follows(sign)) {
            operators += 1;
            if operators > MAX_DEPTH {
                return None;
            }
            self.take(sign);
            let right = operand(self)?;
            left = self.node(start, Kind::Binary(Box::new(left), sign, Box::new(right)));
        }
        Some(left)
    }

    fn follows(&self, sign: &str) -> bool {
        let rest = self.rest().trim_start_matches([' ', '\t']);
        let rest = if self.brackets > 0 { rest.trim_start() } else { rest };
        rest.strip_prefix(sign).is_some_and(|after| !after.starts_with('='))
    }

    fn signed(&mut self) -> Option<Expr<'a>> {
        self.skip_blanks();
        let start = self.at;
        if !self.take("-") {
            return self.postfix();
        }
        let inner = self.postfix()?;
        Some(self.node(start, Kind::Negative(Box::new(inner))))
    }

    /// A value with calls, attributes and indices after it.
    fn postfix(&mut self) -> Option<Expr<'a>> {
        self.skip_blanks();
        let start = self.at;
        let mut expr = self.primary()?;
        let mut links = 0;
        loop {
            links += 1;
            if links > MAX_DEPTH {
                return None;
            }
            let is_name = matches!(expr.kind, Kind::Name(_) | Kind::Attribute(..));
            let is_call = self.rest().trim_start_matches(' ').starts_with('(');
            let kind = if is_call && (is_name || self.rest().starts_with('(')) {
                Kind::Call(Box::new(expr), self.arguments()?)
            } else if self.rest().starts_with('[') {
                let inside = self.at + 1;
                self.sequence("[", "]", true)?;
                Kind::Index(Box::new(expr), self.text[inside..self.at - 1].trim())
            } else if self.rest().starts_with('.') {
                self.at += 1;
                Kind::Attribute(Box::new(expr), self.word()?)
            } else {
                return Some(expr);
            };
            expr = self.node(start, kind);
        }
    }

    fn primary(&mut self) -> Option<Expr<'a>> {
        let start = self.at;
        let kind = match self.rest().chars().next()? {
            '0'..='9' | '.' => Kind::Number(self.number()?),
            '(' => {
                let (mut items, is_list) = self.sequence("(", ")", false)?;
                match (items.len(), is_list) {
                    (1, false) => return items.pop(),
                    _ => Kind::Sequence(items),
                }
            }
            '[' => Kind::Sequence(self.sequence("[", "]", false)?.0),
            quote @ ('\'' | '"') => {
                let inside = &self.rest()[1..];
                let length = inside.find([quote, '\\', '\n'])?;
                inside[length..].starts_with(quote).then_some(())?;
                self.at += length + 2;
                Kind::Text(&inside[..length])
            }
            _ => Kind::Name(self.word()?),
        };
        Some(self.node(start, kind))
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..length];
        self.at += length;
        word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some(word)
    }

    fn number(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let end = |from: usize, accepts: fn(char) -> bool| {
            rest[from..].find(|c: char| !accepts(c)).map_or(rest.len(), |length| from + length)
        };
        let mut length = end(0, |c| c.is_ascii_digit() || matches!(c, '.' | '_'));
        if let Some(exponent) = rest[length..].strip_prefix(['e', 'E']) {
            let sign = usize::from(exponent.starts_with(['-', '+']));
            length = end(length + 1 + sign, |c| c.is_ascii_digit());
        }
        self.at += length;
        rest[..length].parse::<f64>().is_ok().then_some(&rest[..length])
    }

    /// Values in brackets, and whether there is a comma; of an index, only the text counts.
    fn sequence(&mut self, open: &str, close: &str, is_index: bool) -> Option<(Vec<Expr<'a>>, bool)> {
        self.take(open);
        self.brackets += 1;
        let (mut items, mut is_list) = (Vec::new(), false);
        while !self.take(close) {
            if is_index && (self.take(":") || self.take(",")) {
                continue;
            }
            items.push(self.sum()?);
            let has_comma = self.take(",");
            is_list |= has_comma;
            if !has_comma && !is_index && !self.follows(close) {
                return None;
            }
        }
        self.brackets -= 1;
        let is_tuple = is_list || items.is_empty();
        Some((items, is_tuple))
    }

    fn arguments(&mut self) -> Option<Vec<Argument<'a>>> {
        self.take("(");
        self.brackets += 1;
        let mut list = Vec::new();
        while !self.take(")") {
            let value = self.sum()?;
            let keyed = value.name().filter(|_| self.take("="));
            list.push(match keyed {
                Some(key) => Argument { key: Some(key), value: self.sum()? },
                None => Argument { key: None, value },
            });
            if !self.take(",") && !self.follows(")") {
                return None;
            }
        }
        self.brackets -= 1;
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_networks_are_parsed() {
        for text in [
            "nn.Conv2d(3, 64, kernel_size=(3, 3), bias=False)",
            "F.relu(self.bn1(self.conv1(x)))",
            "torch.cat([x, a], dim=1)",
            "x * torch.sigmoid(x) + 1.5e-6",
            "x.mean([2, 3])[0].values",
            "x.shape[-2:]",
            "x[:, 1:, :, ::2]",
            "(a + b) // 2 ** -n",
            "nn.Sequential(\n  nn.ReLU(),\n  nn.Flatten(),\n)",
        ] {
            let parsed = whole(text).unwrap_or_else(|| panic!("{text}"));
            let inner = text.trim_start_matches('(');
            assert!(parsed.text == text || text != inner, "{text}: {}", parsed.text);
        }
    }

    #[test]
    fn what_follows_an_expression_is_not_part_of_it() {
        for (text, length) in [("nn.ReLU(), nn.Flatten()", 9), ("x += a", 1), ("relu\nconv", 4), ("x == 1", 1)] {
            assert_eq!(expression(text).map(|(_, length)| length), Some(length), "{text}");
        }
    }

    #[test]
    fn nothing_nests_without_bound() {
        for text in ["(".repeat(5000), "f(".repeat(5000), "[".repeat(5000), format!("x{}", ".a".repeat(5000)), "x+".repeat(5000)]
        {
            assert_eq!(expression(&text), None);
        }
        assert_eq!(expression(&format!("x{}", "[0]".repeat(5000))), None);
    }

    #[test]
    fn what_is_no_expression_is_not_parsed() {
        for text in ["", "nn.Conv2d(3, 64, 3", "nn.(3)", "'open", "conv(3x3, filters: 64)", "1.2.3", "f(a b)", "x.", "f(:)"] {
            assert_eq!(expression(text), None, "{text}");
        }
    }
}
